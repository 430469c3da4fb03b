"""Figures of n images under many weightings at once; with weights of one, the figures themselves."""

import numpy as np
from numpy.typing import NDArray

from cxr.evaluation.metrics import Labels, Probabilities

Floats = NDArray[np.float64]


def mean(values: NDArray[np.float64] | NDArray[np.bool_], weights: Floats) -> Floats:
    """Return weighted means, float64 (draws,), of `values` (n,) under weights (draws, n); NaN where none has weight."""
    total = weights.sum(axis=1)
    return _share(weights @ values.astype(np.float64), total)


def balanced_accuracy(truth: Labels, right: NDArray[np.bool_], weights: Floats) -> Floats:
    """Return mean sensitivities, float64 (draws,), over the classes that occur in `truth`."""
    recalls = [mean(right[truth == number], weights[:, truth == number]) for number in np.unique(truth)]
    return np.asarray(np.mean(recalls, axis=0))


def area(positive: NDArray[np.bool_], scores: Floats, weights: Floats) -> Floats:
    """Return areas under the ROC curve, float64 (draws,); NaN where one side has no weight.

    The weighted share of pairs in the right order, ties counted half (Mann and Whitney 1947).

    Args:
        positive: bool (n,).
        scores: float64 (n,), larger for positive.
        weights: float64 (draws, n).
    """
    order = np.flatnonzero(~positive)[np.argsort(scores[~positive], kind="stable")]
    below = np.zeros((len(weights), len(order) + 1))
    np.cumsum(weights[:, order], axis=1, out=below[:, 1:])
    left, right = (np.searchsorted(scores[order], scores[positive], side=side) for side in ("left", "right"))
    ordered = (weights[:, positive] * (below[:, left] + below[:, right])).sum(axis=1) / 2
    pairs = weights[:, positive].sum(axis=1) * below[:, -1]
    return _share(ordered, pairs)


def macro_auc(truth: Labels, probabilities: Probabilities, weights: Floats) -> Floats:
    """Return unweighted means of the one-vs-rest areas, float64 (draws,); NaN where a class does not occur."""
    columns = range(probabilities.shape[1])
    areas = [area(truth == number, probabilities[:, number], weights) for number in columns]
    return np.asarray(np.mean(areas, axis=0))


def _share(part: Floats, whole: Floats) -> Floats:
    return np.asarray(np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0))
