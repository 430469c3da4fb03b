"""The sections `train_<model>` of params.yaml."""

from typing import Literal

from pydantic import Field

from cxr.params import Section


class AugmentParams(Section):
    """How far a training image is moved and re-exposed. No mirroring: it would move the heart to the right."""

    rotation: float = Field(0.02, ge=0, le=0.1, description="Largest rotation either way, in full turns.")
    shift: float = Field(0.06, ge=0, le=0.3, description="Largest shift either way, share of the side.")
    zoom: float = Field(0.1, ge=0, le=0.3, description="Largest zoom in or out, share of the side.")
    brightness: float = Field(0.12, ge=0, le=0.5, description="Largest added luminance, share of the range.")
    contrast: float = Field(0.25, ge=0, le=0.8, description="Largest change of contrast, share.")


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


class TransferParams(TrainParams):
    """The recipe of a network that can start from ImageNet."""

    weights: Literal["random", "imagenet"] = Field(description="imagenet needs the file in weights/<model>/.")
