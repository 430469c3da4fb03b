"""Is the class of an image and the collection it comes from the same thing, and do metadata or looks contradict that?

A release is often two collections, one appended to the other: where a class's files change their look is found from
pixels alone. Whether a class can be told from a few numbers is asked by cross-validation, with duplicates and patients
on one side.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats.contingency import association
from sklearn.covariance import LedoitWolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, permutation_test_score
from sklearn.tree import DecisionTreeClassifier

from cxr.core.files import Track, untracked
from cxr.core.manifest import file_numbers
from cxr.core.records import Audit, AuditRecord, Result
from cxr.dataset.sampling import GroupedFolds

Features = NDArray[np.float64]
Labels = NDArray[np.str_]
Groups = NDArray[np.int64]

FOLDS = 5
TEST_FOLDS = 3  # of the permutation test, which fits once a fold and permutation
PERMUTATIONS = 200
# Of a test or a forest: what 2,000 do not show is no leak, and an AUC of so many has a standard error of 0.01.
MOST_ROWS = 2000


class Classifier(Protocol):
    """What scikit-learn's classifiers have in common."""

    def fit(self, x: Features, y: NDArray[np.generic], /) -> object:
        """Learn."""
        ...

    def predict_proba(self, x: Features, /) -> Features:
        """Return float64 (n, classes)."""
        ...


def is_measurable(labels: Labels, groups: Groups) -> bool:
    """Tell whether there are two classes or more, each with a group for every fold."""
    counts = [len(np.unique(groups[labels == label])) for label in np.unique(labels)]
    return len(counts) > 1 and min(counts) >= FOLDS


def probe(features: Features, labels: Labels, groups: Groups, seed: int) -> float:
    """Return the cross-validated balanced accuracy of gradient boosting, 0..1; chance is 1 / classes.

    Args:
        features: float64 (n, k).
        labels: n of them.
        groups: Rows of one group are in one fold.
        seed: Of the folds.
    """
    if (features == features[:1]).all():
        return 1 / len(np.unique(labels))  # nothing to learn from; which class a fold holds more of is no knowledge
    model = HistGradientBoostingClassifier(
        max_iter=40, learning_rate=0.2, max_leaf_nodes=15, class_weight="balanced", random_state=seed
    )
    scores = cross_validated(model, features, labels, groups, seed)
    predicted = np.unique(labels)[scores.argmax(axis=1)]
    return float(balanced_accuracy_score(labels, predicted))


def permutation_p(features: Features, labels: Labels, groups: Groups, seed: int) -> float:
    """Return how often permuted labels can be told at least as well: p of a permutation test, 1/201 at the least.

    The statistic is the cross-validated balanced accuracy of a small decision tree, on one image of each group,
    because only groups can be exchanged (Ojala and Garriga 2010), and on 2,000 groups at most.
    """
    _, first = np.unique(groups, return_index=True)
    first = _at_most(first, MOST_ROWS, seed)
    tree = DecisionTreeClassifier(max_depth=4, class_weight="balanced", random_state=seed)
    folds = StratifiedKFold(TEST_FOLDS, shuffle=True, random_state=seed)
    _, _, p = permutation_test_score(
        tree,
        features[first],
        labels[first],
        cv=folds,
        n_permutations=PERMUTATIONS,
        scoring="balanced_accuracy",
        random_state=seed,
    )
    return float(p)


def _at_most(rows: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Return the rows, in order; where there are more than `count`, so many that are drawn: the rest says no more."""
    if len(rows) <= count:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, count, replace=False))


def cross_validated(
    model: Classifier, features: Features, labels: NDArray[np.generic], groups: Groups, seed: int
) -> Features:
    """Return float64 (n, classes): for each row the probabilities of a model that has not seen its group."""
    folds = GroupedFolds(FOLDS, shuffle=True, random_state=seed)
    found = np.zeros((len(labels), len(np.unique(labels))))
    for train, test in folds.split(features, labels, groups):
        model.fit(features[train], labels[train])
        found[test] = model.predict_proba(features[test])
    return found


def auc_of(scores: Features, truth: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve."""
    return float(roc_auc_score(truth, scores))


LEAST_IMAGES = 60
LEAST_BLOCK = 20  # files on each side of a change
SHUFFLES = 199
LARGEST_P = 0.01
LEAST_AUC = 0.9
ROUNDS = 3  # of the refinement; it settles in one or two
SPREADS = 5  # robust standard deviations beyond which a number is cut


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """The file number of a class at which its images change their look most.

    Attributes:
        number: The last of the lower block.
        p: Of the permutation test that order matters at all, above 0.
        auc: With which the two blocks can be told apart, 0 to 1.
        blocks: Their sizes: lower and upper.
        found: Whether p is below 0.01 and the AUC above 0.9.
    """

    number: int
    p: float
    auc: float
    blocks: Mapping[str, int]
    found: bool


def find_change_points(
    table: pd.DataFrame, features: Features, groups: Groups, seed: int, track: Track = untracked
) -> dict[str, ChangePoint]:
    """Look in each class for the file number at which its images change their look most.

    Files are ordered by the number in their name. The cut with the largest Hotelling T2 between the files below and
    above it is proposed (James, James and Siegmund 1992), a permutation test of that maximum says whether order
    matters at all, and the cut is then refined: a step is fitted to the cross-validated scores of a linear
    discriminant between the two blocks.

    Args:
        table: A manifest, n rows.
        features: float64 (n, k), as `cxr.dataset.appearance.appearance_features` returns them.
        groups: int64 (n,), what stays together in the cross-validation.
        seed: Of permutations and folds.
        track: Shows the progress.

    Returns:
        By label, for each class with enough numbered files.
    """
    numbers, labels = file_numbers(table["file"]), table["label"].to_numpy()
    found = {}
    for label in track(sorted(set(labels)), "looking for changes in a class", len(set(labels))):
        rows = np.flatnonzero((labels == label) & (numbers >= 0))
        if len(rows) >= LEAST_IMAGES:
            rows = rows[np.argsort(numbers[rows], kind="stable")]
            found[str(label)] = _change_point(features[rows], groups[rows], numbers[rows], seed)
    return found


def block_of(table: pd.DataFrame, change_points: Mapping[str, ChangePoint]) -> NDArray[np.str_]:
    """Return n of `lower`, `upper` and, where no change was found or a file has no number, an empty string.

    Args:
        table: Rows of a manifest.
        change_points: By label.
    """
    numbers, labels = file_numbers(table["file"]), table["label"].to_numpy()
    blocks = np.full(len(table), "", dtype="<U5")
    for label, change in change_points.items():
        if change.found:
            own = (labels == label) & (numbers >= 0)
            blocks[own] = np.where(numbers[own] <= change.number, "lower", "upper")
    return blocks


def _change_point(features: Features, groups: Groups, numbers: NDArray[np.int64], seed: int) -> ChangePoint:
    rng = np.random.default_rng(seed)
    white = whitened(features)
    cut, observed = strongest_cut(white)
    chance = [strongest_cut(rng.permutation(white))[1] for _ in range(SHUFFLES)]
    p = (1 + sum(value >= observed for value in chance)) / (1 + SHUFFLES)
    cut, scores = _refined(white, groups, cut, seed)
    auc = auc_of(scores, np.arange(len(scores)) >= cut)
    return ChangePoint(
        number=int(numbers[cut - 1]),
        p=round(float(p), 6),
        auc=round(auc, 6),
        blocks={"lower": int(cut), "upper": int(len(numbers) - cut)},
        found=bool(p < LARGEST_P and auc > LEAST_AUC),
    )


def _refined(white: Features, groups: Groups, cut: int, seed: int) -> tuple[int, Features]:
    """Return the cut that fits its own discriminant's scores best, and those scores."""
    for _ in range(ROUNDS):
        above = np.arange(len(white)) >= cut
        scores = cross_validated(_discriminant(), white, above, groups, seed)[:, 1]
        better, _ = strongest_cut(scores[:, None])
        if better == cut:
            break
        cut = better
    above = np.arange(len(white)) >= cut
    return cut, cross_validated(_discriminant(), white, above, groups, seed)[:, 1]


def _discriminant() -> LinearDiscriminantAnalysis:
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[0.5, 0.5])


def whitened(features: Features) -> Features:
    """Return the columns robustly standardised, cut at `SPREADS`, and uncorrelated with variance 1."""
    low, middle, high = np.percentile(features, [25, 50, 75], axis=0)
    spread = (high - low) / 1.349  # of a normal distribution: its standard deviation
    varies = spread > 0
    scaled = np.clip((features[:, varies] - middle[varies]) / spread[varies], -SPREADS, SPREADS)
    centred = scaled - scaled.mean(axis=0)
    values, vectors = np.linalg.eigh(LedoitWolf(assume_centered=True).fit(centred).covariance_)
    return np.asarray(centred @ (vectors / np.sqrt(values)))


def strongest_cut(white: Features) -> tuple[int, float]:
    """Return how many rows lie below the cut with the largest Hotelling T2, and that T2.

    Args:
        white: float64 (n, k), as `whitened` returns them, rows in the order to be cut.
    """
    count = len(white)
    below = np.arange(LEAST_BLOCK, count - LEAST_BLOCK + 1)
    sums = np.cumsum(white - white.mean(axis=0), axis=0)[below - 1]
    t2 = (sums**2).sum(axis=1) * count / (below * (count - below))
    best = int(t2.argmax())
    return int(below[best]), float(t2[best])


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
        change_points: As `cxr.dataset.audits.sources.find_change_points` returns them.
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
    claimed = _auc(features, sources == pair[0], groups, rows, seed)
    return ClaimedSources(
        label=label,
        sources=tuple(pair),
        block=block,
        images=tuple(int((sources[rows] == source).sum()) for source in pair),
        claimed_auc=claimed,
        claimed_auc_across_blocks=_auc(features, sources == pair[0], groups, np.flatnonzero(both), seed)
        if block
        else claimed,
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
    rows = _at_most(rows, MOST_ROWS, seed)
    forest = RandomForestClassifier(100, class_weight="balanced", min_samples_leaf=3, random_state=seed)
    scores = cross_validated(forest, features[rows], first[rows], groups[rows], seed)[:, 1]
    return round(auc_of(scores, first[rows]), 6)


def _sentence(found: ClaimedSources) -> str:
    where = f" within the {found.block} block" if found.block else ""
    return (
        f"{found.label}: pixels tell the two largest stated sources apart with an AUC of "
        f"{found.claimed_auc:.3f}{where}, but the files up to number {found.number} from those above it with "
        f"{found.scan_auc:.3f}."
    )
