"""How right a network is in the subgroups of images that the database knows: sources, ages, looks and sizes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.dataset.appearance import Features
from cxr.evaluation.audits.age_blocks import MIXED, AgeBlocks, Member
from cxr.evaluation.stats.intervals import Interval, Labels, wilson
from cxr.inference.outputs import SavedOutputs

SMALL = 30  # fewer images: the share says nothing
BRIGHTNESS, SHARPNESS = 2, 12  # columns of `appearance`: mean grey, mean edge strength
THIRDS = ("lowest third", "middle third", "highest third")


@dataclass(frozen=True, slots=True)
class Subgroup:
    """Right answers in a part of the test images.

    Attributes:
        group: What divides the images: source, children_adults, brightness, sharpness or size.
        value: The part.
        label: True class of its images; None: all classes.
        n: Images.
        sensitivity: Share of right answers, of one class its recall, 0 to 1.
        small: Whether there are too few images to say much.
    """

    group: str
    value: str
    label: str | None
    n: int
    sensitivity: Interval
    small: bool


def measure_subgroups(
    test: SavedOutputs, predicted: Labels, looks: Features, sides: NDArray[np.int64], blocks: AgeBlocks | None
) -> tuple[Subgroup, ...]:
    """Return the share of right answers with its Wilson interval by source, age block, brightness, sharpness and size.

    Args:
        test: The outputs on the test split.
        predicted: Class numbers int64 (n,).
        looks: float64 (n, 22), see `cxr.dataset.appearance.appearance_features`.
        sides: int64 (n,), longer side of the file in pixels.
        blocks: Of the class `normal`; None where there is no change point.
    """
    parts = [
        *(("source", value, label, member) for value, label, member in _sources(test)),
        *(("children_adults", value, MIXED, member) for value, member in _ages(test, blocks)),
        *(("brightness", value, None, member) for value, member in _thirds(looks[:, BRIGHTNESS])),
        *(("sharpness", value, None, member) for value, member in _thirds(looks[:, SHARPNESS])),
        *(("size", value, None, member) for value, member in _sizes(sides)),
    ]
    right = predicted == test.truth
    return tuple(_subgroup(group, value, label, right[member]) for group, value, label, member in parts)


def _subgroup(group: str, value: str, label: str | None, right: Member) -> Subgroup:
    n = len(right)
    return Subgroup(group, value, label, n, wilson(int(right.sum()), n), n < SMALL)


def _sources(test: SavedOutputs) -> Iterator[tuple[str, str, Member]]:
    for number, label in enumerate(test.classes):
        own = test.truth == number
        for source in np.unique(test.source[own]).tolist():
            yield source or "unknown", label, own & (test.source == source)


def _ages(test: SavedOutputs, blocks: AgeBlocks | None) -> Iterator[tuple[str, Member]]:
    if blocks is None:
        return
    normal = test.truth == test.classes.index(MIXED)
    named = zip(blocks.names, blocks.members(test.files), strict=True)
    for name, member in sorted(named, key=lambda pair: pair[0] in ("adults", "upper")):
        yield name, normal & member
    yield "both", normal


def _thirds(values: NDArray[np.float64]) -> Iterator[tuple[str, Member]]:
    place = np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values, side="left")
    for number, name in enumerate(THIRDS):
        if (place == number).any():
            yield name, place == number


def _sizes(sides: NDArray[np.int64]) -> Iterator[tuple[str, Member]]:
    found = np.unique(sides).tolist()
    if len(found) > len(THIRDS):
        yield from _thirds(sides.astype(np.float64))
        return
    for side in found:
        yield f"{side} pixels", sides == side
