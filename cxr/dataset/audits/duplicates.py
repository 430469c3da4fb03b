"""Copies of one picture in the release: exact, near, and under two labels."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr.core.audit import Result, audit
from cxr.core.files import JsonObject

SHOWN = 20  # groups listed in a record
BITS = 13  # of a bar of the histogram: 256 bits, unrelated radiographs lie around 70


def exact_duplicates(table: pd.DataFrame) -> JsonObject:
    """Count files with equal decoded pixels."""
    values = _counted(table, "pixels_sha256")
    return audit(
        "exact_duplicates",
        "Exact duplicates",
        Result.WARN if values["groups"] else Result.PASS,
        _sentence("have equal pixels with another", values),
        "Any is a warning; balance keeps one file of each group.",
        fixable=False,
        values=values,
    )


def near_duplicates(table: pd.DataFrame, nearest: NDArray[np.int64]) -> JsonObject:
    """Count files that show the same picture, exact copies included.

    Args:
        table: A manifest.
        nearest: int64 (n,), as `cxr.dataset.duplicates.nearest_distances` returns them.
    """
    values = _counted(table, "duplicate_group")
    edges = np.arange(0, 257, BITS)
    counts, _ = np.histogram(nearest, [*edges, 257])
    last = int(np.flatnonzero(counts).max()) + 1 if counts.any() else 0
    values["nearest_bits"] = [
        {"from": int(edge), "images": int(count)} for edge, count in zip(edges[:last], counts[:last], strict=True)
    ]
    return audit(
        "near_duplicates",
        "Near duplicates",
        Result.WARN if values["groups"] else Result.PASS,
        _sentence("show the same picture as another, exact copies included and mirrored ones searched for", values),
        "Any is a warning; split keeps each group on one side.",
        fixable=False,
        values=values,
    )


def label_conflicts(table: pd.DataFrame) -> JsonObject:
    """Look for one picture under two labels."""
    labels = table.groupby("duplicate_group", sort=True)["label"].nunique()
    groups = labels[labels > 1].index
    listed = [
        dict(zip(rows["file"], rows["label"], strict=True))
        for _, rows in table[table["duplicate_group"].isin(groups[:SHOWN])].groupby("duplicate_group", sort=True)
    ]
    named: dict[str, Any] = {"values": {"groups": len(groups), "files": listed}, "fixable": True}
    limit = "Any picture under two labels is a failure: remove the wrong file from data/."
    example = f", e.g. {' and '.join(f'{file} ({label})' for file, label in listed[0].items())}" if listed else ""
    found = f"{_pictures(len(groups))} under two labels{example}."
    result = Result.FAIL if len(groups) else Result.PASS
    return audit("label_conflicts", "One picture under two labels", result, found, limit, **named)


def _counted(table: pd.DataFrame, column: str) -> JsonObject:
    groups = table.groupby(column, sort=True)["label"].agg(["size", "nunique"])
    several = groups[groups["size"] > 1]
    inside = table[table[column].isin(several.index)]
    return {
        "groups": len(several),
        "files": int(several["size"].sum()),
        "redundant": int(several["size"].sum() - len(several)),
        "largest_group": int(groups["size"].max()),
        "across_classes": int((several["nunique"] > 1).sum()),
        "files_by_class": {str(k): int(v) for k, v in inside["label"].value_counts().sort_index().items()},
    }


def _sentence(what: str, values: JsonObject) -> str:
    return (
        f"{values['files']} files in {values['groups']} groups {what}; {values['redundant']} are redundant, "
        f"{values['across_classes']} groups span classes."
    )


def _pictures(count: int) -> str:
    return "One picture is" if count == 1 else f"{count} pictures are"
