"""Curves and histograms for figures: few enough points to draw."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from cxr.evaluation.stats.answers import Answers
from cxr.evaluation.stats.intervals import rounded, rounded_list
from cxr.files import JsonObject

MOST_POINTS = 200
EDGES = np.linspace(0, 1, 21)
THRESHOLDS = tuple(number / 100 for number in range(1, 100))
Floats = NDArray[np.float64]


def decision_curve(positive: NDArray[np.bool_], probability: Floats) -> list[JsonObject]:
    """Return net benefits at thresholds 0.01 to 0.99 (Vickers and Elkin 2006).

    Args:
        positive: bool (n,), images of the target class.
        probability: float64 (n,), of the target class.

    Returns:
        threshold, and the net benefit of the model, of calling all images positive, and of calling none.
    """
    everyone = np.ones(len(positive), bool)
    return [
        {
            "threshold": threshold,
            "model": rounded(net_benefit(positive, probability >= threshold, threshold)),
            "all": rounded(net_benefit(positive, everyone, threshold)),
            "none": 0.0,
        }
        for threshold in THRESHOLDS
    ]


def net_benefit(positive: NDArray[np.bool_], called: NDArray[np.bool_], threshold: float) -> float:
    """Return the net benefit per image of calling `called` positive.

    A found case counts 1, a false alarm -threshold / (1 - threshold).

    Args:
        positive: bool (n,), images of the target class.
        called: bool (n,).
        threshold: 0 to 1, exclusive.
    """
    alarms = (called & ~positive).sum() * threshold / (1 - threshold)
    return float(((called & positive).sum() - alarms) / len(positive))


def roc_points(answers: Answers) -> list[JsonObject]:
    """Return one-vs-rest ROC curves; without points where a class, or its rest, has no images."""
    curves = []
    for positive, probability, name in _one_vs_rest(answers):
        fpr, tpr = roc_curve(positive, probability)[:2] if _both(positive) else (np.empty(0), np.empty(0))
        curves.append({"class": name, "fpr": _thin(fpr), "tpr": _thin(tpr)})
    return curves


def pr_points(answers: Answers) -> list[JsonObject]:
    """Return one-vs-rest curves of precision by recall; without points where a class has no images."""
    curves = []
    for positive, probability, name in _one_vs_rest(answers):
        empty = (np.empty(0), np.empty(0))
        precision, recall = precision_recall_curve(positive, probability)[:2] if positive.any() else empty
        curves.append({"class": name, "recall": _thin(recall), "precision": _thin(precision)})
    return curves


def distributions(answers: Answers) -> list[JsonObject]:
    """Return, for each true class, how the probability of each class is distributed over 20 equal bins."""
    return [
        {
            "class": true,
            "probability_of": of,
            "edges": rounded_list(EDGES),
            "counts": np.histogram(answers.probabilities[answers.truth == row, column], EDGES)[0].tolist(),
        }
        for row, true in enumerate(answers.classes)
        for column, of in enumerate(answers.classes)
    ]


def _one_vs_rest(answers: Answers) -> list[tuple[NDArray[np.bool_], Floats, str]]:
    return [
        (np.asarray(answers.truth == number), answers.probabilities[:, number], name)
        for number, name in enumerate(answers.classes)
    ]


def _both(positive: NDArray[np.bool_]) -> bool:
    return bool(positive.any() and not positive.all())


def _thin(values: Floats) -> list[float]:
    rows = np.unique(np.linspace(0, len(values) - 1, min(len(values), MOST_POINTS)).round().astype(int))
    return rounded_list(values[rows])
