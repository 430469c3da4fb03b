"""Is the class of an image and the collection it comes from the same thing, and do the metadata contradict that?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats.contingency import association
from sklearn.ensemble import RandomForestClassifier

from cxr.core.process import available_cores
from cxr.core.records import Audit, AuditRecord, Result
from cxr.dataset.audits.change_points import LEAST_AUC, ChangePoint, block_of
from cxr.dataset.audits.probes import Features, Groups, at_most, auc_of, cross_validated, is_measurable

CLASS_BY_SOURCE = Audit("class_by_source", "Class against source, all images", fixable=False)
CLASS_BY_SOURCE_SAMPLE = Audit("class_by_source_sample", "Class against source, the balanced sample", fixable=False)
METADATA_CONTRADICTION = Audit("metadata_contradiction", "Metadata that contradict the pixels", fixable=False)

LARGEST_V = 0.5
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SourceCount:
    """Images of a class from one source."""

    label: str
    source: str
    images: int


def class_by_source(table: pd.DataFrame, audit: Audit = CLASS_BY_SOURCE) -> AuditRecord:
    """Measure Cramér's V of class and source, and the accuracy of an oracle that knows only the source.

    Args:
        table: Rows with `label` and `source`; an empty source counts as one of its own where others are known.
        audit: CLASS_BY_SOURCE or CLASS_BY_SOURCE_SAMPLE, by which images these are.
    """
    limit = f"A Cramér's V of more than {LARGEST_V} is a warning: accuracy then cannot show what is recognised."
    counts = pd.crosstab(table["source"].replace("", UNKNOWN), table["label"])
    if set(counts.index) == {UNKNOWN} or counts.shape[1] < 2:
        found = "No image's source is stated." if counts.shape[1] > 1 else "There is one class."
        return audit.record(Result.NOT_MEASURABLE, found, limit, {})
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
    return audit.record(Result.WARN if v > LARGEST_V else Result.PASS, found, limit, values)


def source_counts(table: pd.DataFrame) -> tuple[SourceCount, ...]:
    """Return the images of each pair that occurs, sorted by label, then source."""
    counts = table.assign(source=table["source"].replace("", UNKNOWN)).groupby(["label", "source"], sort=True).size()
    return tuple(
        SourceCount(str(label), str(source), int(count))
        for (label, source), count in zip(counts.index, counts, strict=True)
    )


LARGEST_CLAIMED_AUC = 0.6
LEAST_OF_SOURCE = 20  # images of each of the two sources
MOST_ROWS = 2000  # images of the two together that forests are grown on: an AUC of so many has a standard error of 0.01


@dataclass(frozen=True, slots=True)
class ClaimedSources:
    """A class's two largest stated sources against its two blocks of file numbers.

    Attributes:
        label: The class.
        sources: The larger one first.
        block: The block inside which they are compared: lower, upper, or empty for all rows.
        images: Of each source in it.
        claimed_auc: With which pixels tell the sources apart there, 0 to 1.
        claimed_auc_across_blocks: The same over all rows.
        scan_auc: With which pixels tell the blocks apart.
        number: Last file number of the lower block.
        p: That order matters at all.
        change_found: See `ChangePoint`.
    """

    label: str
    sources: tuple[str, ...]
    block: str
    images: tuple[int, ...]
    claimed_auc: float
    claimed_auc_across_blocks: float
    scan_auc: float
    number: int
    p: float
    change_found: bool

    @property
    def contradicted(self) -> bool:
        """Whether pixels know nothing of the sources, but of the blocks."""
        return self.claimed_auc < LARGEST_CLAIMED_AUC and self.change_found


def metadata_consistency(
    table: pd.DataFrame, features: Features, groups: Groups, change_points: Mapping[str, ChangePoint], seed: int
) -> AuditRecord:
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
        claimed
        for label, change in sorted(change_points.items())
        if (claimed := _compare(table, label, change, features, groups, blocks, seed))
    ]
    contradicted = [one for one in compared if one.contradicted]
    result = Result.WARN if contradicted else Result.PASS if compared else Result.NOT_APPLICABLE
    found = " ".join(map(_sentence, contradicted or compared))
    limit = (
        f"Stated sources that pixels cannot tell apart (AUC below {LARGEST_CLAIMED_AUC}) beside blocks of "
        f"file numbers that they can (AUC above {LEAST_AUC}) are a warning."
    )
    nothing = f"No class states two sources with {LEAST_OF_SOURCE} images each."
    return METADATA_CONTRADICTION.record(result, found or nothing, limit, {"classes": compared})


def _compare(
    table: pd.DataFrame,
    label: str,
    change: ChangePoint,
    features: Features,
    groups: Groups,
    blocks: NDArray[np.str_],
    seed: int,
) -> ClaimedSources | None:
    sources = table["source"].to_numpy()
    own = table["label"].to_numpy() == label
    counts = table.loc[own & (sources != ""), "source"].value_counts(sort=False).sort_index()
    pair = counts.sort_values(ascending=False, kind="stable").index[:2].tolist()
    both = own & np.isin(sources, pair)
    rows, block = _rows_of_both(sources, pair, both, blocks)
    if len(rows) == 0 or not is_measurable(sources[rows], groups[rows]):
        return None
    return ClaimedSources(
        label=label,
        sources=tuple(pair),
        block=block,
        images=tuple(int((sources[rows] == source).sum()) for source in pair),
        claimed_auc=_auc(features, sources == pair[0], groups, rows, seed),
        claimed_auc_across_blocks=_auc(features, sources == pair[0], groups, np.flatnonzero(both), seed),
        scan_auc=change.auc,
        number=change.number,
        p=change.p,
        change_found=change.found,
    )


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
    rows = at_most(rows, MOST_ROWS, seed)
    forest = RandomForestClassifier(
        100, class_weight="balanced", min_samples_leaf=3, random_state=seed, n_jobs=available_cores()
    )
    scores = cross_validated(forest, features[rows], first[rows], groups[rows], seed)[:, 1]
    return round(auc_of(scores, first[rows]), 6)


def _sentence(found: ClaimedSources) -> str:
    where = f" within the {found.block} block" if found.block else ""
    return (
        f"{found.label}: pixels tell the two largest stated sources apart with an AUC of "
        f"{found.claimed_auc:.3f}{where}, but the files up to number {found.number} from those above it with "
        f"{found.scan_auc:.3f}."
    )
