"""Is the class of an image and the collection it comes from the same thing, and do the metadata contradict that?"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats.contingency import association
from sklearn.ensemble import RandomForestClassifier

from cxr.core.audit import Result, audit
from cxr.core.files import JsonObject
from cxr.dataset.audits.change_points import LEAST_AUC, block_of
from cxr.dataset.audits.probes import Features, Groups, auc_of, cross_validated, is_measurable

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


LARGEST_CLAIMED_AUC = 0.6
LEAST_OF_SOURCE = 20  # images of each of the two sources


def metadata_consistency(
    table: pd.DataFrame, features: Features, groups: Groups, change_points: dict[str, JsonObject], seed: int
) -> JsonObject:
    """Compare in each class how well pixels tell the stated sources apart with how well they tell two blocks apart.

    Where a change point was found, the stated sources are compared inside the block that holds most of both: across
    the blocks, sources would seem to differ as soon as one has more files in one block.

    Args:
        table: A manifest, n rows.
        features: float64 (n, k), as `cxr.dataset.appearance.appearance_features` returns them.
        groups: int64 (n,), what stays together in the cross-validation.
        change_points: As `cxr.dataset.audits.change_points.find_change_points` returns them.
        seed: Of folds and forests.
    """
    blocks = block_of(table, change_points)
    compared = [
        record
        for label in sorted(change_points)
        if (record := _compare(table, label, features, groups, blocks, seed) | _scan(change_points[label]))["sources"]
    ]
    contradicted = [record for record in compared if _contradicted(record)]
    named: dict[str, Any] = {
        "id": "metadata_contradiction",
        "name": "Metadata that contradict the pixels",
        "limit": f"Stated sources that pixels cannot tell apart (AUC below {LARGEST_CLAIMED_AUC}) beside blocks of "
        f"file numbers that they can (AUC above {LEAST_AUC}) are a warning.",
        "fixable": False,
        "values": {"classes": compared},
    }
    if not compared:
        found = f"No class states two sources with {LEAST_OF_SOURCE} images each."
        return audit(result=Result.NOT_APPLICABLE, found=found, **named)
    result = Result.WARN if contradicted else Result.PASS
    return audit(result=result, found=" ".join(map(_said, contradicted or compared)), **named)


def _compare(
    table: pd.DataFrame, label: str, features: Features, groups: Groups, blocks: NDArray[np.str_], seed: int
) -> JsonObject:
    sources = table["source"].to_numpy()
    own = table["label"].to_numpy() == label
    counts = table.loc[own & (sources != ""), "source"].value_counts(sort=False).sort_index()
    pair = counts.sort_values(ascending=False, kind="stable").index[:2].tolist()
    both = own & np.isin(sources, pair)
    rows, block = _rows_of_both(sources, pair, both, blocks)
    if len(rows) == 0 or not is_measurable(sources[rows], groups[rows]):
        return {"sources": []}
    return {
        "label": label,
        "sources": pair,
        "block": block,
        "images": [int((sources[rows] == source).sum()) for source in pair],
        "claimed_auc": _auc(features, sources == pair[0], groups, rows, seed),
        "claimed_auc_across_blocks": _auc(features, sources == pair[0], groups, np.flatnonzero(both), seed),
    }


def _rows_of_both(
    sources: NDArray[np.object_], pair: list[str], both: NDArray[np.bool_], blocks: NDArray[np.str_]
) -> tuple[NDArray[np.int64], str]:
    """Return the rows to compare and their block: the one with most of the rarer source, or all rows."""
    if len(pair) < 2:
        return np.array([], np.int64), ""

    def rarer(inside: NDArray[np.bool_]) -> int:
        return min(int((sources[inside] == source).sum()) for source in pair)

    parts = {name: both & (blocks == name) for name in ("lower", "upper")}
    best = max(parts, key=lambda name: rarer(parts[name]))
    if rarer(parts[best]) >= LEAST_OF_SOURCE:
        return np.flatnonzero(parts[best]), best
    return np.flatnonzero(both) if rarer(both) >= LEAST_OF_SOURCE else np.array([], np.int64), ""


def _auc(features: Features, first: NDArray[np.bool_], groups: Groups, rows: NDArray[np.int64], seed: int) -> float:
    forest = RandomForestClassifier(100, class_weight="balanced", min_samples_leaf=3, random_state=seed)
    scores = cross_validated(forest, features[rows], first[rows], groups[rows], seed)[:, 1]
    return round(auc_of(scores, first[rows]), 6)


def _scan(change: JsonObject) -> JsonObject:
    return {"scan_auc": change["auc"], "number": change["number"], "p": change["p"], "change_found": change["found"]}


def _contradicted(record: JsonObject) -> bool:
    return bool(record["claimed_auc"] < LARGEST_CLAIMED_AUC and record["change_found"])


def _said(record: JsonObject) -> str:
    where = f" within the {record['block']} block" if record["block"] else ""
    return (
        f"{record['label']}: pixels tell the two largest stated sources apart with an AUC of "
        f"{record['claimed_auc']:.3f}{where}, but the files up to number {record['number']} from those above it with "
        f"{record['scan_auc']:.3f}."
    )
