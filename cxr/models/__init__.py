"""One file per architecture, each with `build(plane_side, side, classes, dropout)`; found by name."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

NAMES = ("cnn1", "cnn3", "vgg16", "resnet50", "lite0")
TRANSFER = ("vgg16", "resnet50")  # with `weights: imagenet` the head learns alone first, then the last block with it
FINE_TUNED = ("lite0",)  # with `weights: imagenet` all weights learn from the first step
PRETRAINED = (*TRANSFER, *FINE_TUNED)  # those that `weights: imagenet` applies to


def build(name: str, plane_side: int, side: int, classes: int, dropout: float, **options: Any) -> Any:
    """Build the untrained network `name`, one of NAMES.

    Args:
        name: Also the module's name; only that module is imported, so that editing one retrains one.
        plane_side: Side of the input plane, pixels.
        side: Side the network resizes it to, pixels.
        classes: Number of logits.
        dropout: Share of pooled features dropped while training.
        options: For PRETRAINED networks `imagenet`, the weights file or None; for the others `look`.

    Returns:
        A keras.Model; see `cxr.models.layers.network` for its outputs.
    """
    return import_module(f"cxr.models.{name}").build(plane_side, side, classes, dropout, **options)


@dataclass(frozen=True, slots=True)
class InputPreprocessing:
    """What the small networks see of a plane, and how wide they are.

    Attributes:
        margin: Cut off each side, share of the side.
        standardise: Whether each image is brought to mean 0 and standard deviation 1.
        widen: Factor on the number of filters.
    """

    margin: float = 0.0
    standardise: bool = False
    widen: float = 1.0


PLAIN_INPUT = InputPreprocessing()
