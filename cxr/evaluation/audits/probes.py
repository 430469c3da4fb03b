"""Classifiers that see no anatomy: what overall grey, the frame and the source alone give away."""

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from cxr.evaluation.metrics import Labels

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
