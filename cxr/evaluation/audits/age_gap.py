"""Whether a network treats children and adults of the class `normal` alike."""

import numpy as np
from numpy.typing import NDArray

from cxr.evaluation.audits.age_blocks import MIXED, PAEDIATRIC, AgeBlocks
from cxr.evaluation.metrics import Labels
from cxr.evaluation.outputs import SavedOutputs
from cxr.evaluation.stats.intervals import interval, wilson
from cxr.files import JsonObject


def age_gap(test: SavedOutputs, predicted: Labels, blocks: AgeBlocks) -> JsonObject:
    """Return recall of `normal`, and specificity against viral pneumonia, in both blocks and their gaps.

    Args:
        test: The outputs on the test split.
        predicted: Class numbers int64 (n,).
        blocks: Of the class `normal`.

    Returns:
        number, areas; `blocks`, lower first, with name, n, recall and specificity (the share not called viral
        pneumonia); `recall_gap` and `specificity_gap`, lower minus upper, null where a block has no test image.
    """
    normal = test.truth == test.classes.index(MIXED)
    rows = [
        _block(test, predicted, normal & member, name)
        for member, name in zip(blocks.members(test.files), blocks.names, strict=True)
    ]
    whole = all(row["n"] for row in rows)
    return {
        "number": blocks.number,
        "areas": None if blocks.areas is None else list(blocks.areas),
        "blocks": rows,
        **{f"{key}_gap": gap(rows[0][key], rows[1][key]) if whole else None for key in ("recall", "specificity")},
    }


def gap(first: JsonObject, second: JsonObject) -> JsonObject:
    """Return first - second of two shares of different images, with the interval of Newcombe 1998 (his method 10).

    Args:
        first: A share with its Wilson interval.
        second: Another.
    """
    value = first["value"] - second["value"]
    below = np.hypot(first["value"] - first["low"], second["high"] - second["value"])
    above = np.hypot(first["high"] - first["value"], second["value"] - second["low"])
    return interval(value, value - below, value + above)


def _block(test: SavedOutputs, predicted: Labels, member: NDArray[np.bool_], name: str) -> JsonObject:
    n = int(member.sum())
    right = int((predicted[member] == test.truth[member]).sum())
    others = int((predicted[member] != test.classes.index(PAEDIATRIC)).sum())
    return {"name": name, "n": n, "recall": wilson(right, n), "specificity": wilson(others, n)}
