"""The sections `train_gate`, `train_lungs`, `train_teachers` and `train_student` of params.yaml."""

from typing import Annotated

from pydantic import AfterValidator, Field

from cxr.core.params import Section
from cxr.models import AugmentParams


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
    rejects: float = Field(0.5, ge=0, lt=1, description="Lowest threshold of what is no radiograph, likewise.")
    augment: AugmentParams = AugmentParams()
    limits: LimitParams = LimitParams()


class LungParams(Section):
    """The recipe of the lung segmenter."""

    side: int = Field(
        96, ge=32, le=256, multiple_of=16, description="Side of the segmenter's own input, at most image.side, pixels."
    )
    epochs: int = Field(30, ge=1, description="Passes over the films at most.")
    patience: int = Field(30, ge=1, description="Epochs without a better validation loss before training stops.")
    batch_size: int = Field(16, ge=1, description="Films a step.")
    learning_rate: float = Field(0.004, gt=0, lt=1, description="Peak of the learning rate; it falls as a cosine.")
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of all steps over which the rate rises to its peak.")
    weight_decay: float = Field(0.01, ge=0, lt=1, description="Decoupled weight decay of AdamW.")
    held_out: float = Field(
        0.2, gt=0, lt=1, description="Share of the films that no split holds, by which it is measured beside test."
    )
    augment: AugmentParams = AugmentParams()


def _different(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ValueError("expected different whole numbers from 0 on")
    return seeds


class TeachersParams(Section):
    """The section `train_teachers` of release/params.yaml."""

    network: str = Field("lite0", description="What each of them is, by the recipe train_<network>.")
    seeds: Annotated[tuple[int, ...], AfterValidator(_different)] = Field(
        (7, 8, 9, 10), min_length=2, description="One training each, by this seed; all different."
    )


class StudentParams(Section):
    """The section `train_student` of release/params.yaml."""

    network: str = Field("lite0", description="Its architecture, which its teachers have too; train_<network> is read.")
    side: int = Field(
        96, ge=32, le=1024, description="Side of its own input, at most that of its teachers' planes, pixels."
    )
    epochs: int = Field(3, ge=1, description="Passes over the views.")
    batch_size: int = Field(32, ge=1, description="Views a step.")
    learning_rate: float = Field(0.001, gt=0, lt=1, description="Peak of the learning rate; it falls as a cosine.")
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of all steps over which the rate rises to its peak.")
    weight_decay: float = Field(0.05, ge=0, lt=1, description="Decoupled weight decay of AdamW.")
    views: int = Field(12, ge=1, description="Views of each film, drawn once; the first is the film as it is.")
    mixed: float = Field(0.33, ge=0, le=1, description="Share of the drawn views that are mixed with another film.")
    temperature: float = Field(2.0, ge=1, description="By which the teachers' logits are divided before both answer.")
    features: float = Field(1.0, ge=0, description="Weight of the teachers' pooled features beside their answers.")
    augment: AugmentParams = AugmentParams()

    @property
    def patience(self) -> int:
        """No epoch ends it early."""
        return self.epochs
