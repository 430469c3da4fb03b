"""Metrics of one network on one split: by class, with intervals (DeLong), and curves.

Networks are compared in pairs on the same images: McNemar's test, DeLong's, and gaps by resampling.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm, rankdata
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    matthews_corrcoef,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from cxr.core.errors import DataError
from cxr.evaluation.stats.intervals import (
    DIGITS,
    LEVEL,
    UNDEFINED,
    Floats,
    Interval,
    Labels,
    Probabilities,
    interval,
    percentile,
    ratio,
    resample,
    rounded,
    rounded_all,
    significant,
    weighted_balanced_accuracy,
    weighted_macro_auc,
    weighted_mean,
    wilson,
)
from cxr.inference.outputs import SavedOutputs


def measure(
    truth: Labels, probabilities: Probabilities, classes: tuple[str, ...]
) -> dict[str, float | dict[str, float]]:
    """Measure a classification; the answer is the class with the largest probability, the first of equals.

    Args:
        truth: int64 (n,), numbers of classes; every class occurs.
        probabilities: float64 (n, classes), rows sum to one.
        classes: Names, in the order of the columns.

    Returns:
        Floats rounded to six decimals: accuracy, balanced_accuracy (mean sensitivity), macro_f1, macro_auc
        (mean of one-vs-rest), log_loss (natural logarithm), and sensitivity and specificity by class, one-vs-rest.
    """
    predicted = probabilities.argmax(axis=1)
    values = {
        "accuracy": float(np.mean(predicted == truth)),
        "balanced_accuracy": balanced_accuracy_score(truth, predicted),
        "macro_f1": f1_score(truth, predicted, average="macro"),
        "macro_auc": macro_auc(truth, probabilities),
        "log_loss": log_loss(truth, probabilities, labels=np.arange(len(classes))),
    }
    rates = class_rates(confusion(truth, predicted, len(classes)))
    return {
        **{name: round(float(value), DIGITS) for name, value in values.items()},
        **{
            rate: {name: round(float(value), DIGITS) for name, value in zip(classes, by_class, strict=True)}
            for rate, by_class in rates.items()
        },
    }


def macro_auc(truth: Labels, probabilities: Probabilities) -> float:
    """Return the unweighted mean of the one-vs-rest areas under the ROC curve; also for two classes."""
    areas = [roc_auc_score(truth == number, probabilities[:, number]) for number in range(probabilities.shape[1])]
    return float(np.mean(areas))


def confusion(truth: Labels, predicted: Labels, classes: int) -> NDArray[np.int64]:
    """Return int64 (classes, classes): rows are true, columns are predicted classes."""
    return np.asarray(confusion_matrix(truth, predicted, labels=np.arange(classes)))


def class_rates(matrix: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return sensitivity and specificity of each class against the rest, float64 (classes,)."""
    true_positive = np.diag(matrix)
    positive, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    negative = matrix.sum() - positive
    return {
        "sensitivity": true_positive / positive,
        "specificity": (negative - (predicted - true_positive)) / negative,
    }


SMALLEST = 1e-15  # of a probability in a logarithm: one impossible answer must not make every figure infinite


@dataclass(frozen=True)
class Predictions:
    """One network's answers for n images.

    Attributes:
        classes: Names, in the order of the columns.
        truth: int64 (n,), class numbers.
        probabilities: float64 (n, classes), rows sum to one.
        group: int64 (n,), equal for images of one patient or one picture; any numbers.
    """

    classes: tuple[str, ...]
    truth: Labels
    probabilities: Probabilities
    group: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.truth)

    @cached_property
    def predicted(self) -> Labels:
        """The class with the largest probability, the first of equals, int64 (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Where the prediction is the truth, bool (n,)."""
        return np.asarray(self.predicted == self.truth)

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """The largest probability, float64 (n,)."""
        return np.asarray(self.probabilities.max(axis=1))

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        """Minus the natural logarithm of the probability of the truth, float64 (n,)."""
        return -np.log(np.clip(self.probabilities[np.arange(len(self)), self.truth], SMALLEST, 1))

    @cached_property
    def squares(self) -> NDArray[np.float64]:
        """Squared distance to the truth, 0 to 2 (Brier 1950, for several classes), float64 (n,)."""
        return np.asarray(((self.probabilities - np.eye(len(self.classes))[self.truth]) ** 2).sum(axis=1))


class Area(NamedTuple):
    """An area with what each image adds to its variance.

    Attributes:
        value: 0 to 1.
        positive: float64 (m,), for each positive image the share of negative ones below it.
        negative: float64 (k,), for each negative image the share of positive ones above it.
    """

    value: float
    positive: Floats
    negative: Floats

    @property
    def variance(self) -> float:
        """Estimated variance of the area; NaN with fewer than two images of a side."""
        return _variance(self.positive, self.negative)


def delong(positive: NDArray[np.bool_], scores: Floats) -> Area | None:
    """Return the area of `scores`, float64 (n,), against `positive`, bool (n,); None where one side is empty."""
    above, below = scores[positive], scores[~positive]
    if not len(above) or not len(below):
        return None
    ranks = rankdata(np.concatenate([above, below]))
    share_below = (ranks[: len(above)] - rankdata(above)) / len(below)
    share_above = 1 - (ranks[len(above) :] - rankdata(below)) / len(above)
    return Area(float(share_below.mean()), share_below, share_above)


def delong_interval(area: Area | None) -> Interval:
    """Return the area with its interval on the logit scale, which stays within 0 and 1.

    The bounds are null where classes are wholly apart or a side has one image: there is no variance to go by.
    """
    if area is None:
        return UNDEFINED
    if not 0 < area.value < 1 or not area.variance > 0:
        return interval(area.value, None, None)
    centre = np.log(area.value / (1 - area.value))
    half = norm.ppf((1 + LEVEL) / 2) * np.sqrt(area.variance) / (area.value * (1 - area.value))
    low, high = (1 / (1 + np.exp(-(centre + side * half))) for side in (-1, 1))
    return interval(area.value, low, high)


def delong_p(first: Area | None, second: Area | None) -> float | None:
    """Return the two-sided p of equal areas of two networks on the same images, in the same order."""
    if first is None or second is None:
        return None
    gap = first.value - second.value
    variance = _variance(first.positive - second.positive, first.negative - second.negative)
    if np.isnan(variance):
        return None
    if variance <= 0:
        return 1.0 if gap == 0 else None
    return float(2 * norm.sf(abs(gap) / np.sqrt(variance)))


def delong_gap(first: Area | None, second: Area | None) -> Interval:
    """Return how much larger the first area is, with the interval that `delong_p` is of: 0 is outside where p < 0.05.

    Args:
        first: Of a network.
        second: Of another one on the same images, in the same order.
    """
    if first is None or second is None:
        return UNDEFINED
    gap = first.value - second.value
    variance = _variance(first.positive - second.positive, first.negative - second.negative)
    if not variance > 0:
        return interval(gap, None, None)
    half = norm.ppf((1 + LEVEL) / 2) * np.sqrt(variance)
    return interval(gap, max(gap - half, -1), min(gap + half, 1))


def _variance(positive: Floats, negative: Floats) -> float:
    if len(positive) < 2 or len(negative) < 2:
        return float("nan")
    return float(positive.var(ddof=1) / len(positive) + negative.var(ddof=1) / len(negative))


@dataclass(frozen=True, slots=True)
class Metrics:
    """Overall figures of a network on one split.

    Attributes:
        accuracy: 0 to 1, with a Wilson interval; those of the next four are of the grouped bootstrap.
        balanced_accuracy: Mean sensitivity over the classes that occur, 0 to 1.
        macro_auc: Mean of the one-vs-rest areas, 0 to 1; undefined where a class does not occur.
        log_loss: Mean of minus the natural logarithm of the probability of the truth.
        brier: Mean squared distance to the truth over all classes (Brier 1950), 0 to 2.
        macro_f1: Mean over the classes that occur, 0 to 1.
        mcc: Correlation of Matthews 1975, -1 to 1; None where only one class occurs.
    """

    accuracy: Interval
    balanced_accuracy: Interval
    macro_auc: Interval
    log_loss: Interval
    brier: Interval
    macro_f1: float | None
    mcc: float | None


# What reports/measures.json begins with for each model, in its order; with both bounds where a diff is to show them.
FLAT = (
    ("accuracy", True),
    ("balanced_accuracy", True),
    ("macro_f1", False),
    ("macro_auc", False),
    ("log_loss", False),
    ("brier", False),
)


def flat_metrics(metrics: Metrics) -> dict[str, float | None]:
    """Return the figures of `FLAT` by name, with the bounds as `<name>_low` and `<name>_high`."""
    flat: dict[str, float | None] = {}
    for name, with_bounds in FLAT:
        figure: Interval | float | None = getattr(metrics, name)
        whole = figure if isinstance(figure, Interval) else Interval(figure)
        flat[name] = whole.value
        if with_bounds:
            flat |= {f"{name}_low": whole.low, f"{name}_high": whole.high}
    return flat


def overall_metrics(answers: Predictions, seed: int) -> Metrics:
    """Return overall figures; `seed` is that of the bootstrap."""
    truth = answers.truth

    def figures(weights: Floats) -> dict[str, Floats]:
        return {
            "balanced_accuracy": weighted_balanced_accuracy(truth, answers.right, weights),
            "macro_auc": weighted_macro_auc(truth, answers.probabilities, weights),
            "log_loss": weighted_mean(answers.losses, weights),
            "brier": weighted_mean(answers.squares, weights),
        }

    drawn = resample(figures, truth, answers.group, seed)
    return Metrics(
        accuracy=wilson(int(answers.right.sum()), len(answers)),
        **{name: percentile(*value) for name, value in drawn.items()},
        macro_f1=rounded(f1_score(truth, answers.predicted, labels=np.unique(truth), average="macro", zero_division=0)),
        mcc=rounded(matthews_corrcoef(truth, answers.predicted)) if len(np.unique(truth)) > 1 else None,
    )


def confusion_rows(answers: Predictions) -> tuple[tuple[int, ...], ...]:
    """Return counts: rows are true, columns are predicted classes."""
    return tuple(tuple(row) for row in confusion(answers.truth, answers.predicted, len(answers.classes)).tolist())


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """One class against the rest.

    Attributes:
        name: Of the class.
        n: Its images.
        sensitivity: 0 to 1, with a Wilson interval, as the next three.
        specificity: 0 to 1.
        ppv: Positive predictive value, 0 to 1, at the prevalence of the split.
        npv: Negative predictive value, 0 to 1.
        auc: Area under the ROC curve, 0 to 1, with the interval of DeLong.
        f1: 0 to 1.
        lr_plus: Positive likelihood ratio, 0 or more; None where no alarm is false.
        lr_minus: Negative likelihood ratio.
    """

    name: str
    n: int
    sensitivity: Interval
    specificity: Interval
    ppv: Interval
    npv: Interval
    auc: Interval
    f1: float | None
    lr_plus: float | None
    lr_minus: float | None


def class_metrics(answers: Predictions) -> tuple[ClassMetrics, ...]:
    """Return one-vs-rest figures of each class."""
    return tuple(_class(answers, number, name) for number, name in enumerate(answers.classes))


def _class(answers: Predictions, number: int, name: str) -> ClassMetrics:
    positive, called = answers.truth == number, answers.predicted == number
    found, alarms = int((positive & called).sum()), int((~positive & called).sum())
    missed, passed = int((positive & ~called).sum()), int((~positive & ~called).sum())
    sensitivity, specificity = ratio(found, found + missed), ratio(passed, passed + alarms)
    lr_plus = lr_minus = None
    if sensitivity is not None and specificity is not None:
        lr_plus, lr_minus = ratio(sensitivity, 1 - specificity), ratio(1 - sensitivity, specificity)
    return ClassMetrics(
        name=name,
        n=found + missed,
        sensitivity=wilson(found, found + missed),
        specificity=wilson(passed, passed + alarms),
        ppv=wilson(found, found + alarms),
        npv=wilson(passed, passed + missed),
        auc=delong_interval(delong(positive, answers.probabilities[:, number])),
        f1=rounded(ratio(2 * found, 2 * found + alarms + missed)),
        lr_plus=rounded(lr_plus),
        lr_minus=rounded(lr_minus),
    )


MOST_POINTS = 200
EDGES = np.linspace(0, 1, 21)
THRESHOLDS = tuple(number / 100 for number in range(1, 100))


@dataclass(frozen=True, slots=True)
class NetBenefit:
    """Net benefit per image at a threshold (Vickers and Elkin 2006).

    Attributes:
        threshold: Of the probability of the target class, 0 to 1.
        model: Of calling positive what reaches it, 1 at most.
        all: Of calling every image positive.
        none: Of calling none positive: 0.
    """

    threshold: float
    model: float | None
    all: float | None
    none: float = 0.0


def decision_curve(positive: NDArray[np.bool_], probability: Floats) -> tuple[NetBenefit, ...]:
    """Return net benefits at thresholds 0.01 to 0.99.

    Args:
        positive: bool (n,), images of the target class.
        probability: float64 (n,), of the target class.
    """
    everyone = np.ones(len(positive), bool)
    return tuple(
        NetBenefit(
            threshold,
            rounded(net_benefit(positive, probability >= threshold, threshold)),
            rounded(net_benefit(positive, everyone, threshold)),
        )
        for threshold in THRESHOLDS
    )


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


@dataclass(frozen=True, slots=True)
class RocCurve:
    """One-vs-rest ROC curve of a class; without points where it, or its rest, has no images.

    Attributes:
        label: The class.
        fpr: 1 - specificity of each point, 0 to 1, 200 points at most.
        tpr: Sensitivity of the same.
    """

    label: str = field(metadata={"key": "class"})
    fpr: tuple[float, ...]
    tpr: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PrecisionRecallCurve:
    """One-vs-rest curve of precision by recall of a class; without points where it has no images.

    Attributes:
        label: The class.
        recall: Of each point, 0 to 1, 200 points at most.
        precision: Of the same.
    """

    label: str = field(metadata={"key": "class"})
    recall: tuple[float, ...]
    precision: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Distribution:
    """How the probability of a class is distributed over the images of a true class.

    Attributes:
        label: The true class.
        probability_of: The class whose probability is counted.
        edges: Of 20 equal bins, 0 to 1.
        counts: Images in each bin.
    """

    label: str = field(metadata={"key": "class"})
    probability_of: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]


def roc_curves(answers: Predictions) -> tuple[RocCurve, ...]:
    """Return the ROC curve of each class."""
    curves = []
    for positive, probability, name in _one_vs_rest(answers):
        fpr, tpr = roc_curve(positive, probability)[:2] if _both(positive) else (np.empty(0), np.empty(0))
        curves.append(RocCurve(name, _thin(fpr), _thin(tpr)))
    return tuple(curves)


def precision_recall_curves(answers: Predictions) -> tuple[PrecisionRecallCurve, ...]:
    """Return the curve of precision by recall of each class."""
    curves = []
    for positive, probability, name in _one_vs_rest(answers):
        empty = (np.empty(0), np.empty(0))
        precision, recall = precision_recall_curve(positive, probability)[:2] if positive.any() else empty
        curves.append(PrecisionRecallCurve(name, _thin(recall), _thin(precision)))
    return tuple(curves)


def distributions(answers: Predictions) -> tuple[Distribution, ...]:
    """Return, for each true class, how the probability of each class is distributed."""
    edges = rounded_all(EDGES)
    return tuple(
        Distribution(
            true,
            of,
            edges,
            tuple(np.histogram(answers.probabilities[answers.truth == row, column], EDGES)[0].tolist()),
        )
        for row, true in enumerate(answers.classes)
        for column, of in enumerate(answers.classes)
    )


def _one_vs_rest(answers: Predictions) -> list[tuple[NDArray[np.bool_], Floats, str]]:
    return [
        (np.asarray(answers.truth == number), answers.probabilities[:, number], name)
        for number, name in enumerate(answers.classes)
    ]


def _both(positive: NDArray[np.bool_]) -> bool:
    return bool(positive.any() and not positive.all())


def _thin(values: Floats) -> tuple[float, ...]:
    rows = np.unique(np.linspace(0, len(values) - 1, min(len(values), MOST_POINTS)).round().astype(int))
    return rounded_all(values[rows])


SIGNIFICANT = 0.05


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p that two networks are right equally often (McNemar 1947).

    Args:
        only_first: Images that only the first has right.
        only_second: Images that only the second has right.
    """
    discordant = only_first + only_second
    return float(binomtest(min(only_first, only_second), discordant).pvalue) if discordant else 1.0


def detectable_gap(discordant: int) -> int | None:
    """Return the smallest gap in images that is significant when `discordant` images are right for one only.

    None where no gap is: five discordant images never reach p below 0.05.
    """
    gaps = range(discordant % 2, discordant + 1, 2)
    return next((gap for gap in gaps if mcnemar_p(*_sides(discordant, gap)) < SIGNIFICANT), None)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Return the p values adjusted for their number (Holm 1979), in the same order; None stays and does not count."""
    known = sorted((value, number) for number, value in enumerate(values) if value is not None)
    adjusted: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (value, number) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * value))
        adjusted[number] = largest
    return adjusted


def _sides(discordant: int, gap: int) -> tuple[int, int]:
    return (discordant + gap) // 2, (discordant - gap) // 2


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two networks on the same images; gaps are those of the first less those of the second.

    Attributes:
        a: Name of the first.
        b: Name of the second.
        accuracy_gap: -1 to 1.
        only_a_right: Images that only the first has right.
        only_b_right: Images that only the second has right.
        p: Of McNemar's test, six significant digits.
        p_holm: The same, adjusted over all pairs.
        auc_gap: Of macro AUC, -1 to 1.
        auc_p: Of DeLong's test for the target class; None where there is no variance.
        auc_p_holm: The same, adjusted over all pairs.
        log_loss_gap: In nats.
        detectable_gap_images: Smallest net gap that would be significant with as many discordant images; None where
            none would be.
        detectable_gap_points: The same in percentage points of accuracy.
    """

    a: str
    b: str
    accuracy_gap: Interval
    only_a_right: int
    only_b_right: int
    p: float | None
    p_holm: float | None
    auc_gap: Interval
    auc_p: float | None
    auc_p_holm: float | None
    log_loss_gap: Interval
    detectable_gap_images: int | None
    detectable_gap_points: float | None


def compare_models(
    tests: Sequence[SavedOutputs], probabilities: Sequence[Probabilities], seed: int, target: str | None = None
) -> list[Comparison]:
    """Compare each pair of networks.

    Args:
        tests: Outputs on the same images, in the same order.
        probabilities: For each network, float64 (n, classes), calibrated.
        seed: Of the bootstrap.
        target: Class whose areas are compared; the first one by default.

    Raises:
        DataError: The networks did not answer the same images.
    """
    pairs = list(combinations(range(len(tests)), 2))
    answers = [_answers(tests[0], one, values) for one, values in zip(tests, probabilities, strict=True)]
    if not pairs:
        return []
    number = tests[0].classes.index(target) if target else 0
    gaps = resample(lambda weights: _gaps(answers, pairs, weights), tests[0].truth, tests[0].group, seed)
    compared = [_compare(answers[first], answers[second], number) for first, second in pairs]
    right_p, area_p = (holm([pair.p for pair in compared]), holm([pair.auc_p for pair in compared]))
    return [
        Comparison(
            a=tests[first].name,
            b=tests[second].name,
            only_a_right=pair.only_first,
            only_b_right=pair.only_second,
            p=significant(pair.p),
            p_holm=significant(p_holm),
            auc_p=significant(pair.auc_p),
            auc_p_holm=significant(auc_p_holm),
            detectable_gap_images=pair.detectable,
            detectable_gap_points=rounded(None if pair.detectable is None else 100 * pair.detectable / len(tests[0])),
            **{name: percentile(*gaps[f"{first} {second} {name}"]) for name in GAPS},
        )
        for (first, second), pair, p_holm, auc_p_holm in zip(pairs, compared, right_p, area_p, strict=True)
    ]


GAPS = ("accuracy_gap", "auc_gap", "log_loss_gap")


def _gaps(answers: Sequence[Predictions], pairs: Sequence[tuple[int, int]], weights: Floats) -> dict[str, Floats]:
    """Draws of all gaps of all pairs, named `<first> <second> <gap>`: each network's figures are computed once."""
    figures = [
        (
            weighted_mean(one.right, weights),
            weighted_macro_auc(one.truth, one.probabilities, weights),
            weighted_mean(one.losses, weights),
        )
        for one in answers
    ]
    return {
        f"{first} {second} {name}": figures[first][column] - figures[second][column]
        for first, second in pairs
        for column, name in enumerate(GAPS)
    }


class _Pair(NamedTuple):
    only_first: int
    only_second: int
    p: float
    auc_p: float | None
    detectable: int | None


def _compare(first: Predictions, second: Predictions, target: int) -> _Pair:
    only_first, only_second = int((first.right & ~second.right).sum()), int((second.right & ~first.right).sum())
    areas = [delong(first.truth == target, one.probabilities[:, target]) for one in (first, second)]
    return _Pair(
        only_first,
        only_second,
        mcnemar_p(only_first, only_second),
        delong_p(*areas),
        detectable_gap(only_first + only_second),
    )


def _answers(reference: SavedOutputs, outputs: SavedOutputs, probabilities: Probabilities) -> Predictions:
    if not np.array_equal(reference.files, outputs.files) or not np.array_equal(reference.truth, outputs.truth):
        raise DataError(f"{reference.name} and {outputs.name} did not answer the same images; compare common ones only")
    return Predictions(outputs.classes, outputs.truth, probabilities, outputs.group)
