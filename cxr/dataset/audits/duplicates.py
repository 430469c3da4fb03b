"""Copies of one picture in the release: exact, near, and under two labels."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr.core.records import Audit, AuditRecord, Result, parts

EXACT_DUPLICATES = Audit("exact_duplicates", "Exact duplicates", fixable=False)
NEAR_DUPLICATES = Audit("near_duplicates", "Near duplicates", fixable=False)
LABEL_CONFLICTS = Audit("label_conflicts", "One picture under two labels", fixable=True)

SHOWN = 20  # groups listed in a record
BITS = 13  # of a bar of the histogram: 256 bits, unrelated radiographs lie around 70


@dataclass(frozen=True, slots=True)
class CopyCounts:
    """Files that are copies of others.

    Attributes:
        groups: Of two files or more.
        files: In them.
        redundant: Files beyond one a group.
        largest_group: Its files.
        across_classes: Groups with files of two classes or more.
        files_by_class: In such groups, classes sorted.
    """

    groups: int
    files: int
    redundant: int
    largest_group: int
    across_classes: int
    files_by_class: Mapping[str, int]


def exact_duplicates(table: pd.DataFrame) -> AuditRecord:
    """Count files with equal decoded pixels."""
    copies = _counted(table, "pixels_sha256")
    return EXACT_DUPLICATES.record(
        Result.WARN if copies.groups else Result.PASS,
        _sentence("have equal pixels with another", copies),
        "Any is a warning; balance keeps one file of each group.",
        copies,
    )


def near_duplicates(table: pd.DataFrame, nearest: NDArray[np.int64]) -> AuditRecord:
    """Count files that show the same picture, exact copies included.

    Args:
        table: A manifest.
        nearest: int64 (n,), as `cxr.dataset.duplicates.nearest_distances` returns them.
    """
    copies = _counted(table, "duplicate_group")
    edges = np.arange(0, 257, BITS)
    counts, _ = np.histogram(nearest, [*edges, 257])
    last = int(np.flatnonzero(counts).max()) + 1 if counts.any() else 0
    bars = [{"from": int(edge), "images": int(count)} for edge, count in zip(edges[:last], counts[:last], strict=True)]
    return NEAR_DUPLICATES.record(
        Result.WARN if copies.groups else Result.PASS,
        _sentence("show the same picture as another, exact copies included and mirrored ones searched for", copies),
        "Any is a warning; split keeps each group on one side.",
        {**parts(copies), "nearest_bits": bars},
    )


def label_conflicts(table: pd.DataFrame) -> AuditRecord:
    """Look for one picture under two labels."""
    labels = table.groupby("duplicate_group", sort=True)["label"].nunique()
    groups = labels[labels > 1].index
    listed = [
        dict(zip(rows["file"], rows["label"], strict=True))
        for _, rows in table[table["duplicate_group"].isin(groups[:SHOWN])].groupby("duplicate_group", sort=True)
    ]
    limit = "Any picture under two labels is a failure: remove the wrong file from data/."
    example = f", e.g. {' and '.join(f'{file} ({label})' for file, label in listed[0].items())}" if listed else ""
    found = f"{_pictures(len(groups))} under two labels{example}."
    result = Result.FAIL if len(groups) else Result.PASS
    return LABEL_CONFLICTS.record(result, found, limit, {"groups": len(groups), "files": listed})


def _counted(table: pd.DataFrame, column: str) -> CopyCounts:
    groups = table.groupby(column, sort=True)["label"].agg(["size", "nunique"])
    several = groups[groups["size"] > 1]
    inside = table[table[column].isin(several.index)]
    return CopyCounts(
        groups=len(several),
        files=int(several["size"].sum()),
        redundant=int(several["size"].sum() - len(several)),
        largest_group=int(groups["size"].max()),
        across_classes=int((several["nunique"] > 1).sum()),
        files_by_class={str(k): int(v) for k, v in inside["label"].value_counts().sort_index().items()},
    )


def _sentence(what: str, copies: CopyCounts) -> str:
    return (
        f"{copies.files} files in {copies.groups} groups {what}; {copies.redundant} are redundant, "
        f"{copies.across_classes} groups span classes."
    )


def _pictures(count: int) -> str:
    return "One picture is" if count == 1 else f"{count} pictures are"
