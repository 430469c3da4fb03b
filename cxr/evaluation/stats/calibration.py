"""How far probabilities can be trusted, and the temperature that makes them so."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from cxr.core.files import JsonObject
from cxr.evaluation.stats.classification import Predictions
from cxr.evaluation.stats.intervals import CELLS, Floats, Labels, rounded, wilson

NULL_DRAWS = 1000
BINS = (10, 15)
SIGNIFICANT = 0.05


def calibration_section(before: Predictions, after: Predictions, temperature: float, seed: int) -> JsonObject:
    """Return errors of calibration before and after the temperature, with reliability diagrams of the latter.

    Args:
        before: With the probabilities of the bare logits.
        after: With calibrated ones.
        temperature: Which made the difference.
        seed: Of the null band.
    """
    figures, rest = calibration(after, seed)
    return {"temperature": rounded(temperature), "before": _figures(before), "after": figures, **rest}


def calibration(answers: Predictions, seed: int) -> tuple[JsonObject, JsonObject]:
    """Return errors of calibration, and what follows from them.

    Returns:
        log_loss, brier, ece10, ece15, null_low and null_high (5 % and 95 % quantiles of ece15 of a model whose
        probabilities are true) and p (the share of such models that seem at least as far off); then distinguishable
        (whether p is at most 0.05), reliability, and by_class with the reliability of each class's probability.
    """
    draws = null_errors(answers.confidence, BINS[-1], seed)
    p = null_p(calibration_error(answers.confidence, answers.right, BINS[-1]), draws)
    low, high = np.percentile(draws, [5, 95])
    return _figures(answers) | {"null_low": rounded(low), "null_high": rounded(high), "p": rounded(p)}, {
        "distinguishable": bool(p <= SIGNIFICANT),
        "reliability": reliability(answers.confidence, answers.right),
        "by_class": [
            {"name": name, "reliability": reliability(answers.probabilities[:, number], answers.truth == number)}
            for number, name in enumerate(answers.classes)
        ],
    }


def calibration_error(confidence: Floats, right: NDArray[np.bool_], bins: int) -> float:
    """Return the expected calibration error with bins of equal mass (Nguyen and O'Connor 2015), 0 to 1.

    Args:
        confidence: float64 (n,), probability of being right.
        right: bool (n,).
        bins: At most this many, of sizes that differ by one.
    """
    return float(_errors(confidence, right[None, :], bins)[0])


def null_errors(confidence: Floats, bins: int, seed: int, draws: int = NULL_DRAWS) -> Floats:
    """Return calibration errors, float64 (draws,), of answers that are right as often as `confidence` (n,) says."""
    generator, size = np.random.default_rng(seed), max(1, CELLS // len(confidence))
    blocks = [min(size, draws - start) for start in range(0, draws, size)]
    right = (generator.random((block, len(confidence))) < confidence for block in blocks)
    return np.concatenate([_errors(confidence, block, bins) for block in right])


def null_p(error: float, draws: Floats) -> float:
    """Return the share of calibrated models that seem at least as far off as `error`, never 0 (Davison 1997)."""
    return float((1 + (draws >= error).sum()) / (1 + len(draws)))


def reliability(probability: Floats, happened: NDArray[np.bool_], bins: int = BINS[0]) -> list[JsonObject]:
    """Return mean probability and observed share with its Wilson interval, in bins of equal mass."""
    points = []
    for members in _equal_mass(probability, bins):
        share = wilson(int(happened[members].sum()), len(members))
        accuracy = {"accuracy": share.pop("value")}
        points.append({"confidence": rounded(probability[members].mean()), **accuracy, **share, "n": len(members)})
    return points


def _figures(answers: Predictions) -> JsonObject:
    errors = {f"ece{bins}": calibration_error(answers.confidence, answers.right, bins) for bins in BINS}
    figures = {"log_loss": float(answers.losses.mean()), "brier": float(answers.squares.mean())} | errors
    return {name: rounded(value) for name, value in figures.items()}


def _errors(confidence: Floats, right: NDArray[np.bool_], bins: int) -> Floats:
    """`right` is bool (draws, n); a bin adds |sum of confidence - number right| / n."""
    members = np.zeros((len(confidence), bins))
    for number, rows in enumerate(_equal_mass(confidence, bins)):
        members[rows, number] = 1
    gaps = confidence @ members - right.astype(np.float64) @ members
    return np.asarray(np.abs(gaps).sum(axis=1) / len(confidence))


def _equal_mass(values: Floats, bins: int) -> list[NDArray[np.int64]]:
    parts = np.array_split(np.argsort(values, kind="stable"), bins)
    return [part for part in parts if len(part)]


# It may make a network less sure, never surer than training left it: a few hundred images of validation can look easier
# than new ones are, and without an error among them they would ask for a temperature of zero.
COLDEST, HOTTEST = 1.0, 10.0


def fit_temperature(logits: NDArray[np.float32], truth: Labels) -> float:
    """Return the number between 1 and 10 that logits are to be divided by for the lowest log loss.

    Args:
        logits: float (n, classes).
        truth: int64 (n,).
    """
    # scipy and not scikit-learn's CalibratedClassifierCV(method="temperature"), which minimises the same loss: there
    # the fitted number is reached through attributes that are not documented, and its bounds cannot be set.
    values = logits.astype(np.float64)
    values -= values.max(axis=1, keepdims=True)
    own = values[np.arange(len(truth)), truth]

    def loss(log_temperature: float) -> float:
        inverse = np.exp(-log_temperature)
        return float(np.mean(np.log(np.exp(values * inverse).sum(axis=1)) - own * inverse))

    bounds = (np.log(COLDEST), np.log(HOTTEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    # The search stops beside a bound, never at it.
    return COLDEST if loss(found.x) >= loss(np.log(COLDEST)) else float(np.exp(found.x))
