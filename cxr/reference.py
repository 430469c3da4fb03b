"""How the validation images of a network look, for comparison with a batch."""

from collections.abc import Mapping
from dataclasses import dataclass

from cxr.fields import Fields

QUANTILES = 101


@dataclass(frozen=True, slots=True)
class Reference:
    """Figures of the validation images.

    Attributes:
        images: How many.
        predictions: For each class, how many are predicted to be of it.
        confidence: The 0th, 1st, ... 100th percentile of the largest calibrated probability.
        brightness: Likewise of the mean of the planes, 0 black, 1 white.
        side: Likewise of the longer side of the files, in pixels.
    """

    images: int
    predictions: Mapping[str, int]
    confidence: tuple[float, ...]
    brightness: tuple[float, ...]
    side: tuple[float, ...]


def parse_reference(fields: Fields, classes: tuple[str, ...]) -> Reference | None:
    """Check the member `reference` of decisions.json, which may be null. Raises ModelError."""
    if fields.form.get("reference") is None:
        return None
    form = fields.inner("reference")
    images, predictions = form.count("images", 1), form.inner("predictions", classes)
    counts = {name: predictions.count(name) for name in classes}
    if sum(counts.values()) != images:
        raise form.wrong("predictions", f"expected counts with the sum {images}")
    return Reference(
        images,
        counts,
        *(form.numbers(name, QUANTILES) for name in ("confidence", "brightness", "side")),
    )
