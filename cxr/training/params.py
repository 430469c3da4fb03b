"""The sections `train_<model>` and `train_gate` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from cxr.core.params import Section
from cxr.models import InputPreprocessing

EvenSources = Annotated[
    float,
    Field(ge=0, le=1, description="How far sources of a class count alike in the loss: 0 by their images, 1 alike."),
]
Weights = Annotated[Literal["random", "imagenet"], Field(description="imagenet needs the file in weights/<model>/.")]


class AugmentParams(Section):
    """How far a training image is moved and re-exposed. No mirroring: it would move the heart to the right."""

    rotation: float = Field(0.02, ge=0, le=0.1, description="Largest rotation either way, in full turns.")
    shift: float = Field(0.06, ge=0, le=0.3, description="Largest shift either way, share of the side.")
    zoom: float = Field(0.1, ge=0, le=0.3, description="Largest zoom in or out, share of the side.")
    brightness: float = Field(0.12, ge=0, le=0.5, description="Largest added luminance, share of the range.")
    contrast: float = Field(0.25, ge=0, le=0.8, description="Largest change of contrast, share.")
    gamma: float = Field(0.0, ge=0, le=1, description="Largest power of luminance, either way, as exp(gamma); 0: none.")
    blur: float = Field(0.0, ge=0, le=1, description="Largest share of a 3 x 3 mean, or of sharpening by it; 0: none.")
    noise: float = Field(0.0, ge=0, le=0.5, description="Largest standard deviation of noise, share of the range.")
    border: float = Field(0.0, ge=0, le=0.3, description="Largest margin painted over on each side, share of the side.")
    markers: float = Field(0.0, ge=0, le=1, description="Share of images with a patch painted in or out near the edge.")


class TrainParams(Section):
    """One network's recipe."""

    side: int = Field(ge=32, le=1024, description="Side of the network's own input, at most image.side, pixels.")
    epochs: int = Field(ge=1, description="Passes over the training images at most.")
    patience: int = Field(ge=1, description="Epochs without a better validation loss before training stops.")
    batch_size: int = Field(32, ge=1, description="Images a step.")
    learning_rate: float = Field(gt=0, lt=1, description="Peak of the learning rate.")
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of all steps over which the rate rises to its peak.")
    weight_decay: float = Field(0.0, ge=0, lt=1, description="Decoupled weight decay of AdamW.")
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="Share of a label spread over all classes.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Share of pooled features dropped while training.")
    augment: AugmentParams


class SmallParams(TrainParams):
    """The recipe of one of the two small networks."""

    margin: float = Field(0.0, ge=0, lt=0.4, description="Margin that the network does not look at, share of the side.")
    standardise: bool = Field(False, description="Bring each image to mean 0 and standard deviation 1 in the network.")
    even_sources: EvenSources = 0.0
    widen: float = Field(1.0, ge=0.25, le=4, description="Factor on the number of filters of each convolution.")

    @property
    def look(self) -> InputPreprocessing:
        """What the network sees of a plane, and how wide it is."""
        return InputPreprocessing(self.margin, self.standardise, self.widen)


class FineTunedParams(TrainParams):
    """The recipe of a network whose weights all learn in one phase, from random or from ImageNet's."""

    weights: Weights
    even_sources: EvenSources = 0.0


class HeadParams(Section):
    """With ImageNet weights, first: the last layer learns on features that the frozen backbone computes once."""

    epochs: int = Field(60, ge=1, description="With imagenet, passes of the head over the features, at most.")
    learning_rate: float = Field(0.001, gt=0, lt=1, description="With imagenet, peak of the head's learning rate.")


class FineTuneParams(Section):
    """With ImageNet weights, second: the backbone's last block learns with the head, on augmented images."""

    epochs: int = Field(10, ge=0, description="With imagenet, passes with the last block unfrozen, at most; 0: none.")
    learning_rate: float = Field(
        0.00001, gt=0, lt=1, description="With imagenet, peak of the rate with the last block unfrozen; low."
    )


class TransferParams(TrainParams):
    """The recipe of a network that can start from ImageNet.

    `epochs` and `learning_rate` are for random weights, `head` and `fine_tune` for ImageNet's; all else is for both.
    """

    weights: Weights
    head: HeadParams = HeadParams()
    fine_tune: FineTuneParams = FineTuneParams()

    def of(self, part: HeadParams | FineTuneParams) -> "TransferParams":
        """Return the recipe with the epochs and the learning rate of one part; the rest is shared."""
        return self.model_copy(update={"epochs": part.epochs, "learning_rate": part.learning_rate})


class LimitParams(Section):
    """What rules a picture out before any network, and how exposure is judged."""

    min_side: int = Field(64, ge=1, le=4096, description="Shorter side in pixels below which a picture is too small.")
    max_aspect: float = Field(3.0, ge=1, description="Longer side over shorter above which a picture is no radiograph.")
    max_colour: float = Field(
        0.08, ge=0, le=1, description="Mean chroma, share of the range, above which it is a photo."
    )
    min_spread: float = Field(
        0.02, ge=0, le=0.5, description="Standard deviation, share of the range, below which a picture is blank."
    )
    exposure_share: float = Field(0.005, ge=0, lt=0.5, description="Share of validation beyond each limit of exposure.")
    exposure_margin: float = Field(
        0.05, ge=0, lt=0.5, description="Added to each limit of exposure, share of the range."
    )


class GateParams(Section):
    """The recipe of the gate and the shares of validation by which its thresholds are set."""

    side: int = Field(64, ge=32, le=256, description="Side of the gate's own input, at most image.side, pixels.")
    epochs: int = Field(16, ge=1, description="Passes over radiographs and drawn pictures.")
    batch_size: int = Field(32, ge=1, description="Pictures a step.")
    learning_rate: float = Field(0.004, gt=0, lt=1, description="Peak of the learning rate; it falls as a cosine.")
    weight_decay: float = Field(0.01, ge=0, lt=1, description="Decoupled weight decay of AdamW.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Share of pooled features dropped while training.")
    views: int = Field(
        2, ge=1, le=16, description="Views of each radiograph an epoch: turned, inverted, cropped or not."
    )
    negatives: float = Field(
        2.0, gt=0, le=20, description="Drawn pictures that are no radiographs, for each radiograph; at least 400."
    )
    shrinkage: float = Field(0.1, gt=0, le=1, description="Share of a sphere in the covariance of known features.")
    accept: float = Field(0.997, gt=0, le=1, description="Share of validation's radiographs not rejected, at least.")
    flagged: float = Field(0.01, ge=0, lt=1, description="Share of validation with any one flag of the gate, at most.")
    unusual: float = Field(0.02, ge=0, lt=1, description="Share of validation found out of distribution, at most.")
    least: float = Field(0.5, ge=0, lt=1, description="Lowest threshold of a probability, however sure validation is.")
    augment: AugmentParams = AugmentParams()
    limits: LimitParams = LimitParams()
