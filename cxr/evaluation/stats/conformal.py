"""Prediction sets that hold for each class apart (class-conditional split conformal, Vovk 2012)."""

import numpy as np
from numpy.typing import NDArray

from cxr.decisions import Decisions
from cxr.evaluation.metrics import Labels
from cxr.evaluation.stats.answers import Answers
from cxr.evaluation.stats.intervals import wilson
from cxr.files import JsonObject

_HAIR = 1e-9  # 0.29 * 100 is a hair below 29


def smallest_members(truth: Labels, probabilities: NDArray[np.float64], alpha: float) -> list[float]:
    """Return for each class the probability from which on it is in the prediction set.

    The k-th smallest probability of the truth among the n validation images of the class, k = floor(alpha (n + 1)):
    the set lacks the truth in at most a share `alpha` of new images of the class, if they are like those of validation.

    Args:
        truth: int64 (n,).
        probabilities: float64 (n, classes), calibrated.
        alpha: 0 to 1.

    Returns:
        One a class; 0, always in the set, where a class has too few images.
    """
    minima = []
    for number in range(probabilities.shape[1]):
        own = np.sort(probabilities[truth == number, number])
        rank = int(np.floor(alpha * (len(own) + 1) + _HAIR))
        minima.append(float(own[rank - 1]) if rank else 0.0)
    return minima


def conformal_section(test: Answers, decisions: Decisions) -> JsonObject:
    """Return coverage by class, sizes of the sets, and what becomes of the errors when sets not of one are referred."""
    sets = decisions.sets(test.probabilities)
    covered = sets[np.arange(len(test)), test.truth]
    sizes = sets.sum(axis=1)
    members = [test.truth == number for number in range(len(test.classes))]
    return {
        "alpha": decisions.alpha,
        "by_class": [
            {"name": name, "n": int(own.sum()), "coverage": wilson(int(covered[own].sum()), int(own.sum()))}
            for name, own in zip(test.classes, members, strict=True)
        ],
        "sizes": {str(size): int((sizes == size).sum()) for size in range(len(test.classes) + 1)},
        "referred": referral(~test.right, sizes != 1),
    }


def referral(wrong: NDArray[np.bool_], referred: NDArray[np.bool_]) -> JsonObject:
    """Return what referring does: its share, the share of errors it catches, and the error of what is answered.

    Args:
        wrong: bool (n,), where the prediction is not the truth.
        referred: bool (n,).

    Returns:
        share_of_errors_referred is null without errors, error_answered where all are referred.
    """
    errors, caught, answered = int(wrong.sum()), int((wrong & referred).sum()), int((~referred).sum())
    return {
        "share": wilson(int(referred.sum()), len(referred)),
        "errors": errors,
        "errors_referred": caught,
        "share_of_errors_referred": wilson(caught, errors) if errors else None,
        "error_answered": wilson(errors - caught, answered) if answered else None,
    }
