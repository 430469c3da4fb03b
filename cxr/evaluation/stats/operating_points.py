"""Thresholds on the probability of the target class: chosen on validation, applied to the test split."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxr.decisions import Decisions
from cxr.evaluation.stats.answers import Answers
from cxr.evaluation.stats.intervals import ratio, rounded, wilson
from cxr.files import JsonObject

AIM = 0.95
PREVALENCES = (0.33, 0.10, 0.02, 0.01)
Floats = NDArray[np.float64]


def choose_points(positive: NDArray[np.bool_], probability: Floats, target: str) -> JsonObject:
    """Choose <target>_sens95 and <target>_spec95 on validation.

    Candidates are the probabilities that occur, and one above them all.

    Args:
        positive: bool (n,), images of the target class; both kinds occur.
        probability: float64 (n,), of the target class.
        target: Its name.

    Returns:
        By name: threshold (suspected from it on; not rounded), aim, and sensitivity and specificity on validation.
    """
    largest = probability.max()
    candidates = np.unique(np.append(probability, np.nextafter(largest, np.inf)))
    cases, others = np.sort(probability[positive]), np.sort(probability[~positive])
    # Found cases are counted: 1 - 1/20 is a hair below 0.95.
    sensitivity = (len(cases) - np.searchsorted(cases, candidates)) / len(cases)
    specificity = np.searchsorted(others, candidates) / len(others)
    sensitive = np.flatnonzero(sensitivity >= AIM).max()
    specific = np.flatnonzero(specificity >= AIM).min()
    return {
        f"{target}_{short}95": {
            "threshold": float(candidates[chosen]),
            "aim": f"{word} at least {AIM} on validation",
            "sensitivity": rounded(sensitivity[chosen]),
            "specificity": rounded(specificity[chosen]),
        }
        for short, word, chosen in (("sens", "sensitivity", sensitive), ("spec", "specificity", specific))
    }


def operating_points_section(test: Answers, decisions: Decisions, validation: Answers | None) -> list[JsonObject]:
    """Apply the frozen operating points to the test split; without `validation` its two figures are null."""
    points = []
    for name, point in decisions.points.items():
        sensitivity, specificity = _rates(test, decisions, name)
        before = _rates(validation, decisions, name) if validation else ({"value": None}, {"value": None})
        points.append(
            {
                "name": name,
                "threshold": rounded(point.threshold),
                "aim": point.aim,
                "validation_sensitivity": before[0]["value"],
                "validation_specificity": before[1]["value"],
                "sensitivity": sensitivity,
                "specificity": specificity,
                "by_prevalence": by_prevalence(sensitivity["value"], specificity["value"]),
            }
        )
    return points


def by_prevalence(
    sensitivity: float | None, specificity: float | None, prevalences: Sequence[float] = PREVALENCES
) -> list[JsonObject]:
    """Return predictive values where the target class has these shares, by Bayes' rule; null where undefined."""
    values = []
    for share in prevalences:
        ppv = npv = None
        if sensitivity is not None and specificity is not None:
            true, false = sensitivity * share, (1 - specificity) * (1 - share)
            cleared, missed = specificity * (1 - share), (1 - sensitivity) * share
            ppv, npv = ratio(true, true + false), ratio(cleared, cleared + missed)
        values.append({"prevalence": share, "ppv": rounded(ppv), "npv": rounded(npv)})
    return values


def _rates(answers: Answers, decisions: Decisions, name: str) -> tuple[JsonObject, JsonObject]:
    positive = answers.truth == answers.classes.index(decisions.target)
    suspected = decisions.suspected(answers.probabilities, name)
    return detection_rates(positive, suspected)


def detection_rates(positive: NDArray[np.bool_], suspected: NDArray[np.bool_]) -> tuple[JsonObject, JsonObject]:
    """Return sensitivity and specificity of a yes or no, both with Wilson intervals."""
    found, passed = int((suspected & positive).sum()), int((~suspected & ~positive).sum())
    return wilson(found, int(positive.sum())), wilson(passed, int((~positive).sum()))
