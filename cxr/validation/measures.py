"""Every figure of labelled answers, one entry each, with interval, number of files and method."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from cxr.evaluation.stats.calibration import BINS, calibration_error, null_errors
from cxr.evaluation.stats.classification import Predictions, class_metrics, delong, delong_interval, overall_metrics
from cxr.evaluation.stats.intervals import (
    LEVEL,
    UNDEFINED,
    Floats,
    Interval,
    Labels,
    Probabilities,
    interval,
    percentile,
    resample,
    weighted_mean,
    wilson,
)
from cxr.inference.decisions import REFER, decision_words
from cxr.validation.results import NO_ANSWER

Bools = NDArray[np.bool_]

OTHER = -1  # the class number of a file that shows none of the network's classes, or nobody knows which of them
REST = "rest"
SMALL = 30  # files; below, a share says little
THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)  # of the decision curve in tables
_Z = float(norm.ppf((1 + LEVEL) / 2))

WILSON, DELONG, BOOTSTRAP = "wilson", "delong", "bootstrap"
MOVER, SANDWICH, SIMULATION, COUNT, PLAIN = "mover_wilson", "sandwich", "simulation_5_to_95", "count", "none"

# How the answers are read as yes or no.
PROBABLE, DECIDED, REFERRED = "most_probable_class", "decision", "referred_counts_as_positive"
UNDECIDED, UNANSWERED = "no_decision_counts_as_wrong", "no_answer_counts_as_wrong"

# Shares of files; the second where nothing is decided about the target class: only what was rejected or failed.
WITHOUT_DECISION, WITHOUT_ANSWER = "without_decision", "without_answer"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes:
        metric: Its name, in snake case.
        name: The class that it is about, REST for the files that are not of the target class, or empty.
        at: The share of the target class, or the threshold, that it holds for; None where it is of neither.
        value: With its interval.
        n: Files that it is of.
        method: Of the interval.
    """

    metric: str
    name: str
    at: float | None
    value: Interval
    n: int
    method: str

    @property
    def key(self) -> tuple[str, str, float | None]:
        """What tells figures of one set apart."""
        return self.metric, self.name, self.at


@dataclass(frozen=True)
class Cases:
    """Labelled files with what one network said of them, n rows.

    Attributes:
        classes: Of the network.
        target: Class that is looked for; None where nobody said which.
        truth: int64 (n,), class numbers; OTHER where the label is none of them.
        predicted: int64 (n,), class numbers; NO_ANSWER where there is none.
        probabilities: float64 (n, classes); 0 where there is no answer.
        decisions: Words (n,), empty where nothing was decided.
        group: int64 (n,), equal for files of one patient.
        trained: bool (n,), files that the network was trained on.
        unseen: bool (n,), files that it was not trained on; of those in neither, nobody knows.
    """

    classes: tuple[str, ...]
    target: str | None
    truth: Labels
    predicted: Labels
    probabilities: Probabilities
    decisions: NDArray[np.str_]
    group: NDArray[np.int64]
    trained: Bools
    unseen: Bools

    def __len__(self) -> int:
        return len(self.truth)

    def chosen(self, rows: Bools) -> "Cases":
        """Return the cases that `rows`, bool (n,), marks."""
        arrays = ("truth", "predicted", "probabilities", "decisions", "group", "trained", "unseen")
        return replace(self, **{name: getattr(self, name)[rows] for name in arrays})

    @property
    def answered(self) -> Bools:
        """Where there is an answer, bool (n,)."""
        return np.asarray(self.predicted != NO_ANSWER)

    @property
    def positive(self) -> Bools:
        """Where the truth is the target class, bool (n,); nowhere without one."""
        number = self.classes.index(self.target) if self.target else OTHER - 1
        return np.asarray(self.truth == number)

    @property
    def decides(self) -> bool:
        """Whether there are decisions about the target class."""
        words = set(np.unique(self.decisions)) - {""}
        return bool(words and self.target) and words <= set(decision_words(self.target or ""))

    def against_rest(self) -> Predictions:
        """Return the answers as two classes, the rest and the target; of the files that have one."""
        chosen = self.chosen(self.answered)
        share = chosen.probabilities[:, self.classes.index(self.target or "")]
        both = np.column_stack([1 - share, share])
        return Predictions((REST, self.target or ""), chosen.positive.astype(np.int64), both, chosen.group)

    def of_classes(self) -> Predictions:
        """Return the answers about files that show one of the network's classes."""
        chosen = self.chosen(self.answered & (self.truth != OTHER))
        return Predictions(self.classes, chosen.truth, chosen.probabilities, chosen.group)


def measure_nothing(target: str | None) -> tuple[Figure, ...]:
    """Return the figures of a set without any file: that there are none."""
    none = np.zeros(0, bool)
    files = [_count("files", "", none), _count("answered", "", none)]
    return (*files, *(_count("files_of", name, none) for name in ((target, REST) if target else ())))


def measure(cases: Cases, prevalences: Sequence[float], seed: int) -> tuple[Figure, ...]:
    """Return the figures of a set of files; those that would need what it has not are left out.

    Args:
        cases: At least one.
        prevalences: Shares of the target class for predictive values.
        seed: Of bootstrap and null band.
    """
    figures = [Figure("files", "", None, Interval(float(len(cases))), len(cases), COUNT)]
    figures.append(_count("answered", "", cases.answered))
    if cases.target:
        figures += _against_rest(cases, cases.target, prevalences, seed)
    answers = cases.of_classes()
    if len(np.unique(answers.truth)) > 1:
        figures += _of_classes(cases, answers, seed)
    return tuple(figures)


def _count(metric: str, name: str, rows: Bools) -> Figure:
    return Figure(metric, name, None, Interval(float(rows.sum())), len(rows), COUNT)


def _share(metric: str, name: str, rows: Bools, method: str = WILSON) -> Figure:
    return Figure(metric, name, None, wilson(int(rows.sum()), len(rows)), len(rows), method)


def _against_rest(cases: Cases, target: str, prevalences: Sequence[float], seed: int) -> Iterator[Figure]:
    yield _count("files_of", target, cases.positive)
    yield _count("files_of", REST, ~cases.positive)
    undecided, without = ~_settled(cases), WITHOUT_DECISION if cases.decides else WITHOUT_ANSWER
    yield _share(without, "", undecided)
    yield _share(without, target, undecided[cases.positive])
    yield _share(without, REST, undecided[~cases.positive])
    for reading, considered, called in readings(cases, target):
        yield from _rates(reading, target, cases.positive[considered], called[considered])
    main, considered, called = readings(cases, target)[1 if cases.decides else 0]
    found = _predictive(main, target, cases.positive[considered], called[considered], prevalences)
    yield from found if has_both(cases.positive) else map(_undefined, found)
    if cases.answered.any():
        answers = cases.against_rest()
        of_probability = _of_probability(answers, target, seed)
        yield from of_probability if has_both(answers.truth == 1) else map(_undefined, of_probability)


def has_both(positive: Bools) -> bool:
    """Tell whether there are positive and negative files: what depends on their shares means nothing without."""
    return bool(positive.any() and not positive.all())


def _undefined(figure: Figure) -> Figure:
    return replace(figure, value=UNDEFINED)


def _settled(cases: Cases) -> Bools:
    """Return where the answer is yes or no, bool (n,)."""
    return (cases.decisions != "") & (cases.decisions != REFER) if cases.decides else cases.answered


Reading = tuple[str, Bools, Bools]  # name, files that it takes, whether it says yes


def readings(cases: Cases, target: str) -> list[Reading]:
    """Return the ways to read the answers, by name; a file that one does not take has no say in it."""
    everything = np.ones(len(cases), bool)
    called = cases.predicted == cases.classes.index(target)
    probable = (PROBABLE, cases.answered, called)
    if not cases.decides:
        wrong = np.where(cases.answered, called, ~cases.positive)
        return [probable, (UNANSWERED, everything, wrong)]
    suspected = cases.decisions == decision_words(target)[0]
    decided, referred = cases.decisions != "", cases.decisions == REFER
    return [
        probable,
        (DECIDED, decided & ~referred, suspected),
        (REFERRED, decided, suspected | referred),
        (UNDECIDED, everything, np.where(_settled(cases), suspected, ~cases.positive)),
    ]


def _rates(reading: str, target: str, positive: Bools, called: Bools) -> Iterator[Figure]:
    yield _share(f"sensitivity_{reading}", target, called[positive])
    yield _share(f"specificity_{reading}", target, ~called[~positive])


def _predictive(
    reading: str, target: str, positive: Bools, called: Bools, prevalences: Sequence[float]
) -> Iterator[Figure]:
    yield _share(f"ppv_{reading}", target, positive[called])
    yield _share(f"npv_{reading}", target, ~positive[~called])
    sensitivity, specificity = (wilson(int(rows.sum()), len(rows)) for rows in (called[positive], ~called[~positive]))
    for share in prevalences:
        ppv, npv = predictive_values(sensitivity, specificity, share)
        yield Figure("ppv_at_prevalence", target, share, ppv, len(called), MOVER)
        yield Figure("npv_at_prevalence", target, share, npv, len(called), MOVER)


def predictive_values(sensitivity: Interval, specificity: Interval, prevalence: float) -> tuple[Interval, Interval]:
    """Return PPV and NPV where the target class has another share.

    By Bayes' rule on the likelihood ratios, whose intervals are MOVER-R (Donner and Zou 2012) of the two Wilson
    intervals: they exist without one false alarm too, and always hold the value.

    Args:
        sensitivity: With bounds.
        specificity: With bounds.
        prevalence: 0 to 1, exclusive.
    """
    if sensitivity.value is None or specificity.value is None:
        return UNDEFINED, UNDEFINED
    odds = prevalence / (1 - prevalence)
    alarms, missed = _complement(specificity), _complement(sensitivity)
    positive, negative = _quotient(sensitivity, alarms), _quotient(missed, specificity)
    ppv = interval(*(_of_odds(ratio * odds) for ratio in positive))
    npv = interval(*(_less_one(_of_odds(negative[place] * odds)) for place in (0, 2, 1)))
    return tuple(UNDEFINED if one.value is None else one for one in (ppv, npv))  # type: ignore[return-value]


def _complement(share: Interval) -> Interval:
    return Interval(*(_less_one(value or 0.0) for value in (share.value, share.high, share.low)))


def _less_one(value: float) -> float:
    return 1 - value


def _of_odds(odds: float) -> float:
    return 1.0 if np.isinf(odds) else float(odds / (1 + odds))


def _quotient(first: Interval, second: Interval) -> tuple[float, float, float]:
    """Return first / second with MOVER-R bounds; infinite where `second` may be nought, NaN where both are."""
    (one, low, high), (two, below, above) = (
        (float(part.value or 0), float(part.low or 0), float(part.high or 0)) for part in (first, second)
    )
    product = one * two
    with np.errstate(divide="ignore", invalid="ignore"):
        lower_root = np.sqrt(max(product**2 - above * (2 * two - above) * low * (2 * one - low), 0))
        upper_root = np.sqrt(max(product**2 - below * (2 * two - below) * high * (2 * one - high), 0))
        value = np.divide(one, two)
        lower = np.divide(low * (2 * one - low), product + lower_root) if low else 0.0
        upper = np.divide(product + upper_root, below * (2 * two - below)) if below else np.inf
    return float(value), float(lower), float(upper)


def _of_probability(answers: Predictions, target: str, seed: int) -> Iterator[Figure]:
    positive, share, n = answers.truth == 1, answers.probabilities[:, 1], len(answers)
    yield Figure("auc", target, None, delong_interval(delong(positive, share)), n, DELONG)

    def drawn(weights: Floats) -> dict[str, Floats]:
        found = {"average_precision": weighted_average_precision(positive, share, weights)}
        found["brier"] = weighted_mean((share - positive) ** 2, weights)
        return found | {f"{at}": _benefit(positive, share >= at, at, weights) for at in THRESHOLDS}

    draws = resample(drawn, answers.truth, answers.group, seed)
    for metric in ("average_precision", "brier"):
        yield Figure(metric, target, None, percentile(*draws[metric]), n, BOOTSTRAP)
    yield from _of_calibration(answers, target, seed)
    for at in THRESHOLDS:
        everyone = _benefit(positive, np.ones(n, bool), at, np.ones((1, n)))
        yield Figure("net_benefit", target, at, percentile(*draws[f"{at}"]), n, BOOTSTRAP)
        yield Figure("net_benefit_of_all", target, at, interval(float(everyone[0]), None, None), n, PLAIN)


def _benefit(positive: Bools, called: Bools, threshold: float, weights: Floats) -> Floats:
    """Return net benefits (Vickers and Elkin 2006), float64 (draws,), under weights (draws, n)."""
    worth = (called & positive) - (called & ~positive) * (threshold / (1 - threshold))
    return weighted_mean(worth, weights)


def weighted_average_precision(positive: Bools, scores: Floats, weights: Floats) -> Floats:
    """Return average precisions, float64 (draws,); NaN where no positive image has weight.

    Args:
        positive: bool (n,).
        scores: float64 (n,), larger for positive; equals count as one threshold.
        weights: float64 (draws, n).
    """
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # of each threshold
    found = np.cumsum(weights[:, order] * positive[order], axis=1)[:, last]
    called = np.cumsum(weights[:, order], axis=1)[:, last]
    gained = np.diff(found, axis=1, prepend=0)
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    total = found[:, -1]
    missing = np.full(len(total), np.nan)
    return np.asarray(np.divide((gained * precision).sum(axis=1), total, out=missing, where=total > 0))


def _of_calibration(answers: Predictions, target: str, seed: int) -> Iterator[Figure]:
    positive, share, n = answers.truth == 1, answers.probabilities[:, 1], len(answers)
    intercept, slope = recalibration(positive, share, answers.group)
    yield Figure("calibration_intercept", target, None, intercept, n, SANDWICH)
    yield Figure("calibration_slope", target, None, slope, n, SANDWICH)
    bins = BINS[-1]
    low, high = np.percentile(null_errors(share, bins, seed), [5, 95])
    yield Figure("ece", target, None, interval(calibration_error(share, positive, bins), None, None), n, PLAIN)
    yield Figure("ece_if_calibrated", target, None, interval(None, low, high), n, SIMULATION)


def recalibration(positive: Bools, probability: Floats, group: NDArray[np.int64]) -> tuple[Interval, Interval]:
    """Return intercept and slope of calibration (Cox 1958), 0 and 1 where probabilities are true.

    The intercept is that of a slope of 1 (calibration in the large): below 0 probabilities are too high. The slope is
    that of the logistic regression on the logit of the probability: below 1 they are too extreme. Intervals are
    Wald's with variances that hold for files of one patient together. Not defined where one side is empty, or no finite
    slope fits.

    Args:
        positive: bool (n,).
        probability: float64 (n,), 0 to 1.
        group: int64 (n,), equal for files of one patient.
    """
    if positive.all() or not positive.any():
        return UNDEFINED, UNDEFINED
    across = logit(np.clip(probability, 1e-6, 1 - 1e-6))  # as far as six decimals go
    one = np.ones((len(across), 1))
    intercept = _logistic(one, across, positive, group)
    return intercept, _logistic(np.column_stack([one, across]), np.zeros(len(across)), positive, group)


_STEPS, _FAR = 50, 30.0  # of Newton's method; a coefficient beyond is on its way to infinity


def _logistic(design: Floats, offset: Floats, positive: Bools, group: NDArray[np.int64]) -> Interval:
    """Return the last coefficient of a logistic regression."""
    found = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        expected = expit(design @ found + offset)
        bread = design.T @ (design * (expected * (1 - expected))[:, None])
        if np.linalg.cond(bread) > 1e12 or abs(found).max() > _FAR:
            return UNDEFINED
        step = np.linalg.solve(bread, design.T @ (positive - expected))
        found = found + step
        if abs(step).max() < 1e-10:
            break
    else:
        return UNDEFINED
    members = np.unique(group, return_inverse=True)[1]
    scores = np.zeros((members.max() + 1, design.shape[1]))
    np.add.at(scores, members, design * (positive - expected)[:, None])
    inverse = np.linalg.inv(bread)
    half = _Z * np.sqrt((inverse @ scores.T @ scores @ inverse)[-1, -1])
    return interval(found[-1], found[-1] - half, found[-1] + half)


def _of_classes(cases: Cases, answers: Predictions, seed: int) -> Iterator[Figure]:
    known = cases.chosen(cases.truth != OTHER)
    overall, n = overall_metrics(answers, seed), len(answers)
    yield Figure("accuracy", "", None, overall.accuracy, n, WILSON)
    yield _share("accuracy_no_answer_counts_as_wrong", "", known.predicted == known.truth)
    most = int(np.bincount(answers.truth).argmax())
    yield _share("accuracy_of_most_frequent", answers.classes[most], answers.truth == most)
    gap, method = _above_most_frequent(answers, most, seed), BOOTSTRAP
    yield Figure("accuracy_above_most_frequent", answers.classes[most], None, gap, n, method)
    for metric in ("balanced_accuracy", "macro_auc", "log_loss", "brier"):
        name = "brier_of_classes" if metric == "brier" else metric
        yield Figure(name, "", None, getattr(overall, metric), n, BOOTSTRAP)
    yield Figure("macro_f1", "", None, Interval(overall.macro_f1), n, PLAIN)
    yield Figure("matthews_correlation", "", None, Interval(overall.mcc), n, PLAIN)
    for one in class_metrics(answers):
        for metric in ("sensitivity", "specificity", "ppv", "npv", "auc"):
            denominator = {"sensitivity": one.n, "specificity": n - one.n}.get(
                metric, _called(answers, one.name, metric)
            )
            method = DELONG if metric == "auc" else WILSON
            value = UNDEFINED if metric in ("ppv", "npv") and not one.n else getattr(one, metric)
            yield Figure(f"{metric}_among_classes", one.name, None, value, denominator, method)


def _above_most_frequent(answers: Predictions, most: int, seed: int) -> Interval:
    gains = answers.right.astype(np.float64) - (answers.truth == most)
    return percentile(*resample(lambda w: {"": weighted_mean(gains, w)}, answers.truth, answers.group, seed)[""])


def _called(answers: Predictions, name: str, metric: str) -> int:
    called = int((answers.predicted == answers.classes.index(name)).sum())
    return {"ppv": called, "npv": len(answers) - called}.get(metric, len(answers))


def by_key(figures: Sequence[Figure]) -> Mapping[tuple[str, str, float | None], Figure]:
    """Return figures by what tells them apart."""
    return {one.key: one for one in figures}
