"""What altered pictures say about a network: dependence on the lungs, robustness, texture and frequencies."""

import numpy as np
from numpy.typing import NDArray

from cxr.evaluation.audits.answers import ByVariant, balanced_accuracy, score
from cxr.evaluation.audits.variants import CUTS, FULL, GRIDS, changes
from cxr.evaluation.metrics import DIGITS, Labels
from cxr.evaluation.stats.intervals import rounded
from cxr.files import JsonObject

REGIONS = (FULL, "lungs_blacked", "border_only", "lungs_only")


def dependence(truth: Labels, answers: ByVariant, how: str, weights: NDArray[np.float64]) -> JsonObject:
    """Return balanced accuracies with parts of the picture blacked out, and the lung dependence.

    The lung dependence is (full - lungs blacked out) / (full - chance): 1 where nothing is left without the lungs,
    0 where they do not matter; null for a network that is no better than chance. No training picture had a black box,
    so a low value says more than a high one: a network may fail on the box, and not for want of lungs.

    Args:
        truth: int64 (n,), class numbers.
        answers: Of the network, by variant.
        how: masks or box, see `Regions`.
        weights: Of the bootstrap, float64 (draws, n).
    """
    scores = {name: score(truth, answers[name], weights) for name in REGIONS}
    above = scores[FULL].value - 1 / len(np.unique(truth))
    lost = scores[FULL].value - scores["lungs_blacked"].value
    return {
        "regions": how,
        **{name: each.interval for name, each in scores.items()},
        "lung_dependence": rounded(lost / above) if above > 0 else None,
    }


def robustness(truth: Labels, answers: ByVariant) -> list[JsonObject]:
    """Return per perturbation the balanced accuracy, its change, and the share of answers that change (flips)."""
    full = balanced_accuracy(truth, answers[FULL])
    rows = []
    for name, (text, _) in changes(0).items():
        value = balanced_accuracy(truth, answers[name])
        rows.append(
            {
                "perturbation": name,
                "text": text,
                "balanced_accuracy": rounded(value),
                "change": round(value - full, DIGITS) + 0.0,  # never -0.0
                "flips": rounded(float(np.mean(answers[name] != answers[FULL]))),
            }
        )
    return rows


def shuffle(truth: Labels, answers: ByVariant) -> list[JsonObject]:
    """Return the balanced accuracy on pictures cut into grid x grid patches in another order."""
    return [
        {"grid": grid, "balanced_accuracy": rounded(balanced_accuracy(truth, answers[f"shuffle_{grid}"]))}
        for grid in GRIDS
    ]


def frequencies(truth: Labels, answers: ByVariant) -> list[JsonObject]:
    """Return the balanced accuracy on low-pass and high-pass pictures; `cut` in cycles a side."""
    return [
        {"kind": kind, "cut": cut, "balanced_accuracy": rounded(balanced_accuracy(truth, answers[f"{kind}_{cut}"]))}
        for kind in ("low", "high")
        for cut in CUTS
    ]
