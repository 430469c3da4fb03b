"""How far probabilities can be trusted, and the temperature that makes them so."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from cxr.core.records import parts
from cxr.evaluation.stats.classification import Predictions
from cxr.evaluation.stats.intervals import CELLS, Floats, Labels, rounded, wilson

NULL_DRAWS = 1000
BINS = (10, 15)
SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class CalibrationErrors:
    """How far probabilities are from the truth.

    Attributes:
        log_loss: Mean of minus the natural logarithm of the probability of the truth.
        brier: Mean squared distance to the truth, 0 to 2.
        ece10: Expected calibration error in ten bins of equal mass, 0 to 1.
        ece15: The same in fifteen.
    """

    log_loss: float | None
    brier: float | None
    ece10: float | None
    ece15: float | None


@dataclass(frozen=True, slots=True)
class TestedCalibration(CalibrationErrors):
    """The same, beside what a model shows whose probabilities are true.

    Attributes:
        null_low: 5 % quantile of its ece15.
        null_high: 95 % quantile of its ece15.
        p: Share of such models that seem at least as far off, above 0.
    """

    null_low: float | None
    null_high: float | None
    p: float | None


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Images of like probability.

    Attributes:
        confidence: Their mean probability, 0 to 1.
        accuracy: Share of them for which it came true.
        low: Lower bound of that share's Wilson interval.
        high: Upper bound.
        n: Images.
    """

    confidence: float | None
    accuracy: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class ClassReliability:
    """The reliability diagram of one class's probability."""

    name: str
    reliability: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class Calibration(TestedCalibration):
    """Errors of calibration and what follows from them.

    Attributes:
        distinguishable: Whether p is at most 0.05.
        reliability: Of the largest probability.
        by_class: Of each class's probability.
    """

    distinguishable: bool
    reliability: tuple[ReliabilityBin, ...]
    by_class: tuple[ClassReliability, ...]


@dataclass(frozen=True, slots=True)
class CalibrationByTemperature:
    """Errors before and after the temperature, with reliability diagrams of the latter.

    Attributes:
        temperature: That logits are divided by, 1 or more.
        before: Of the bare logits.
        after: With the temperature.
        distinguishable: See `Calibration`, as the next two.
        reliability: Of the largest probability.
        by_class: Of each class's probability.
    """

    temperature: float | None
    before: CalibrationErrors
    after: TestedCalibration
    distinguishable: bool
    reliability: tuple[ReliabilityBin, ...]
    by_class: tuple[ClassReliability, ...]


def calibration_by_temperature(
    before: Predictions, after: Predictions, temperature: float, seed: int
) -> CalibrationByTemperature:
    """Return errors of calibration before and after the temperature.

    Args:
        before: With the probabilities of the bare logits.
        after: With calibrated ones.
        temperature: Which made the difference.
        seed: Of the null band.
    """
    found = calibration(after, seed)
    return CalibrationByTemperature(
        temperature=rounded(temperature),
        before=_errors_of(before),
        after=TestedCalibration(**{one.name: getattr(found, one.name) for one in fields(TestedCalibration)}),
        distinguishable=found.distinguishable,
        reliability=found.reliability,
        by_class=found.by_class,
    )


def calibration(answers: Predictions, seed: int) -> Calibration:
    """Return errors of calibration, and what follows from them; `seed` is that of the null band."""
    draws = null_errors(answers.confidence, BINS[-1], seed)
    p = null_p(calibration_error(answers.confidence, answers.right, BINS[-1]), draws)
    low, high = np.percentile(draws, [5, 95])
    return Calibration(
        **parts(_errors_of(answers)),
        null_low=rounded(low),
        null_high=rounded(high),
        p=rounded(p),
        distinguishable=bool(p <= SIGNIFICANT),
        reliability=reliability(answers.confidence, answers.right),
        by_class=tuple(
            ClassReliability(name, reliability(answers.probabilities[:, number], answers.truth == number))
            for number, name in enumerate(answers.classes)
        ),
    )


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


def reliability(probability: Floats, happened: NDArray[np.bool_], bins: int = BINS[0]) -> tuple[ReliabilityBin, ...]:
    """Return mean probability and observed share with its Wilson interval, in bins of equal mass."""
    points = []
    for members in _equal_mass(probability, bins):
        share = wilson(int(happened[members].sum()), len(members))
        mean = rounded(probability[members].mean())
        points.append(ReliabilityBin(mean, share.value, share.low, share.high, len(members)))
    return tuple(points)


def _errors_of(answers: Predictions) -> CalibrationErrors:
    ece10, ece15 = (rounded(calibration_error(answers.confidence, answers.right, bins)) for bins in BINS)
    return CalibrationErrors(rounded(answers.losses.mean()), rounded(answers.squares.mean()), ece10, ece15)


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
