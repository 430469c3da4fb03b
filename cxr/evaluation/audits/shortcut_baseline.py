"""Shortcut baselines that a network must rise above: overall grey, the border, the source alone."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from cxr.dataset.appearance import Features
from cxr.evaluation.stats.intervals import DIGITS, Interval, Labels, balanced_accuracy, rounded, score
from cxr.inference.outputs import SavedOutputs

TREES = 100


def forest(features: NDArray[np.float64], truth: Labels, train: NDArray[np.bool_], seed: int) -> Labels:
    """Fit a random forest of 100 trees on the rows that `train` marks and return its answers on the others.

    Args:
        features: float64 (n, d).
        truth: int64 (n,), class numbers.
        train: bool (n,).
        seed: Of the trees.

    Returns:
        int64 (rows not in train,).
    """
    trees = RandomForestClassifier(TREES, random_state=seed, n_jobs=1)
    trees.fit(features[train], truth[train])
    return np.asarray(trees.predict(features[~train]), np.int64)


def majority_by_source(source: NDArray[np.str_], truth: Labels, train: NDArray[np.bool_]) -> Labels:
    """Answer with the commonest training class of the image's source, never having seen the image.

    Equally common classes: the first. A source that no training image has gets the commonest class of all.

    Args:
        source: str (n,).
        truth: int64 (n,), class numbers.
        train: bool (n,).

    Returns:
        int64 (rows not in train,).
    """
    of_all = np.bincount(truth[train]).argmax()
    commonest = {
        name: np.bincount(truth[train & (source == name)]).argmax() for name in np.unique(source[train]).tolist()
    }
    return np.array([commonest.get(name, of_all) for name in source[~train].tolist()], np.int64)


@dataclass(frozen=True, slots=True)
class ShortcutBaseline:
    """What the baselines answer on the test split, fitted on the train split; int64 (n,) each.

    Attributes:
        truth: Class numbers.
        appearance: Of a random forest on the 22 numbers of overall appearance.
        border: Of the same on the 80 numbers of the border.
        source: Of the commonest class of the image's source; None where no source is known.
    """

    truth: Labels
    appearance: Labels
    border: Labels
    source: Labels | None

    @property
    def chance(self) -> float:
        """Balanced accuracy of guessing."""
        return 1 / len(np.unique(self.truth))


def fit_shortcut_baseline(outputs: SavedOutputs, looks: Features, borders: Features, seed: int) -> ShortcutBaseline:
    """Fit the baselines on the train split and answer the test split.

    Args:
        outputs: Of any network: only truth, split and source are read.
        looks: float64 (n, 22), see `cxr.dataset.appearance.appearance_features`.
        borders: float64 (n, 80), see `cxr.dataset.appearance.border_features`.
        seed: Of the forests.

    Raises:
        DataError: There is no train or no test split.
    """
    train, test = outputs.of("train"), outputs.of("test")
    used = np.isin(outputs.split, ("train", "test"))
    fitted, truth, source = outputs.split[used] == "train", outputs.truth[used], outputs.source[used]
    return ShortcutBaseline(
        truth=test.truth,
        appearance=forest(looks[used], truth, fitted, seed),
        border=forest(borders[used], truth, fitted, seed),
        source=majority_by_source(source, truth, fitted) if (train.source != "").any() else None,
    )


@dataclass(frozen=True, slots=True)
class BaselineFigures:
    """How well the shortcut baselines do on the test split.

    Attributes:
        appearance: Balanced accuracy from overall grey, 0 to 1.
        border: Balanced accuracy from the border.
        source: Accuracy from the source alone; None where no source is known.
        source_balanced_accuracy: Balanced accuracy of the same.
        chance: Balanced accuracy of guessing.
    """

    appearance: Interval = field(metadata={"key": "floor"})
    border: Interval = field(metadata={"key": "frame"})
    source: float | None = field(metadata={"key": "oracle"})
    source_balanced_accuracy: float | None = field(metadata={"key": "oracle_balanced_accuracy"})
    chance: float


def describe_baseline(baseline: ShortcutBaseline, weights: NDArray[np.float64]) -> BaselineFigures:
    """Return how well the baselines do; `weights` are those of the bootstrap, float64 (draws, n)."""
    truth, source = baseline.truth, baseline.source
    return BaselineFigures(
        appearance=score(truth, baseline.appearance, weights).interval,
        border=score(truth, baseline.border, weights).interval,
        source=None if source is None else rounded(float(np.mean(source == truth))),
        source_balanced_accuracy=None if source is None else rounded(balanced_accuracy(truth, source)),
        chance=round(baseline.chance, DIGITS),
    )
