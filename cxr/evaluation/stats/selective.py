"""What answering only the confident images would cost and save: risk, coverage and their areas."""

import numpy as np
from numpy.typing import NDArray

from cxr.evaluation.stats.answers import Answers
from cxr.evaluation.stats.intervals import rounded
from cxr.files import JsonObject

COVERAGES = (1.0, 0.95, 0.9, 0.8)
Floats = NDArray[np.float64]


def selective_section(test: Answers) -> JsonObject:
    """Return the risk-coverage curve, its figures at four coverages, and both areas.

    `risk` is the share of errors among the accepted images, those of the largest confidence.
    """
    confidence, wrong = test.confidence, ~test.right
    cumulative = cumulative_errors(confidence, wrong)
    n = len(test)
    risk = cumulative / np.arange(1, n + 1)
    counts = np.unique(np.ceil(np.linspace(0.01, 1, 100) * n - 1e-9).astype(int))
    ordered = np.sort(confidence)[::-1]
    at = [(coverage, int(np.ceil(coverage * n - 1e-9))) for coverage in COVERAGES]
    return {
        "curve": [{"coverage": rounded(count / n), "risk": rounded(risk[count - 1])} for count in counts],
        "at": [
            {"coverage": coverage, "risk": rounded(risk[count - 1]), "threshold": rounded(ordered[count - 1])}
            for coverage, count in at
        ],
        "aurc": rounded(risk.mean()),
        "augrc": rounded(augrc(confidence, wrong)),
    }


def augrc(confidence: Floats, wrong: NDArray[np.bool_]) -> float:
    """Return the area under the generalised risk-coverage curve (Traub 2024).

    The mean, over all thresholds, of the share of all images that are accepted and wrong: half the error rate for a
    confidence that knows nothing.

    Args:
        confidence: float64 (n,).
        wrong: bool (n,).
    """
    return float(cumulative_errors(confidence, wrong).mean() / len(wrong))


def cumulative_errors(confidence: Floats, wrong: NDArray[np.bool_]) -> Floats:
    """Return errors among the k most confident images, float64 (n,), k from 1; equals share their errors evenly."""
    _, member, size = np.unique(confidence, return_inverse=True, return_counts=True)
    expected = np.bincount(member, wrong.astype(np.float64))[member] / size[member]
    return np.asarray(np.cumsum(expected[np.argsort(-confidence, kind="stable")]))
