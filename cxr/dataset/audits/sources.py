"""Is the class of an image and the collection it comes from the same thing?"""

from typing import Any

import pandas as pd
from scipy.stats.contingency import association

from cxr.audit import Result, audit
from cxr.files import JsonObject

LARGEST_V = 0.5
UNKNOWN = "unknown"


def class_by_source(table: pd.DataFrame, id: str = "class_by_source", where: str = "all images") -> JsonObject:
    """Measure Cramér's V of class and source, and the accuracy of an oracle that knows only the source.

    Args:
        table: Rows with `label` and `source`; an empty source counts as one of its own where others are known.
        id: Of the audit.
        where: Which images these are, for the sentence.
    """
    named: dict[str, Any] = {
        "id": id,
        "name": f"Class against source, {where}",
        "limit": f"A Cramér's V of more than {LARGEST_V} is a warning: accuracy then cannot show what is recognised.",
        "fixable": False,
    }
    counts = pd.crosstab(table["source"].replace("", UNKNOWN), table["label"])
    if set(counts.index) == {UNKNOWN} or counts.shape[1] < 2:
        found = "No image's source is stated." if counts.shape[1] > 1 else "There is one class."
        return audit(result=Result.NOT_MEASURABLE, found=found, values={}, **named)
    v = float(association(counts.to_numpy(), method="cramer")) if len(counts) > 1 else 0.0
    oracle = float(counts.max(axis=1).sum() / counts.to_numpy().sum())
    majority = float(counts.sum().max() / counts.to_numpy().sum())
    values = {
        "cramers_v": round(v, 6),
        "oracle_accuracy": round(oracle, 6),
        "majority_accuracy": round(majority, 6),
        "sources": source_counts(table),
    }
    found = (
        f"Class and source go together with a Cramér's V of {v:.3f}; knowing only the source of an image gives its "
        f"class with an accuracy of {oracle:.3f}, knowing nothing {majority:.3f}."
    )
    return audit(result=Result.WARN if v > LARGEST_V else Result.PASS, found=found, values=values, **named)


def source_counts(table: pd.DataFrame) -> list[JsonObject]:
    """Return a record with label, source and images for each pair that occurs, sorted by label, then source."""
    counts = table.assign(source=table["source"].replace("", UNKNOWN)).groupby(["label", "source"], sort=True).size()
    return [
        {"label": str(label), "source": str(source), "images": int(count)}
        for (label, source), count in zip(counts.index, counts, strict=True)
    ]
