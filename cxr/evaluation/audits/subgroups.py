"""How often a network is right in each part of the test split."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cxr.dataset.appearance import Features
from cxr.evaluation.audits.age_blocks import MIXED, AgeBlocks
from cxr.evaluation.metrics import Labels
from cxr.evaluation.outputs import SavedOutputs
from cxr.evaluation.stats.intervals import wilson
from cxr.files import JsonObject

SMALL = 30  # fewer images: the share says nothing
BRIGHTNESS, SHARPNESS = 2, 12  # columns of `appearance`: mean grey, mean edge strength
THIRDS = ("lowest third", "middle third", "highest third")
Member = NDArray[np.bool_]


def subgroups(
    test: SavedOutputs, predicted: Labels, looks: Features, sides: NDArray[np.int64], blocks: AgeBlocks | None
) -> list[JsonObject]:
    """Return the share of right answers with its Wilson interval by source, age block, brightness, sharpness and size.

    Args:
        test: The outputs on the test split.
        predicted: Class numbers int64 (n,).
        looks: float64 (n, 22), see `cxr.dataset.appearance.appearance`.
        sides: int64 (n,), longer side of the file in pixels.
        blocks: Of the class `normal`; None where there is no change point.

    Returns:
        Rows with group, value, label (null: all classes), n, sensitivity (of one class: its recall) and small.
    """
    parts = [
        *(("source", value, label, member) for value, label, member in _sources(test)),
        *(("children_adults", value, MIXED, member) for value, member in _ages(test, blocks)),
        *(("brightness", value, None, member) for value, member in _thirds(looks[:, BRIGHTNESS])),
        *(("sharpness", value, None, member) for value, member in _thirds(looks[:, SHARPNESS])),
        *(("size", value, None, member) for value, member in _sizes(sides)),
    ]
    right = predicted == test.truth
    return [_row(group, value, label, right[member]) for group, value, label, member in parts]


def _row(group: str, value: str, label: str | None, right: Member) -> JsonObject:
    n = len(right)
    share = wilson(int(right.sum()), n)
    return {"group": group, "value": value, "label": label, "n": n, "sensitivity": share, "small": n < SMALL}


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
