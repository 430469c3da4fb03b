"""Decisions and what they cost: prediction sets, operating points, selective answers; fitted on validation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import DataError
from cxr.core.records import parts
from cxr.evaluation.stats.calibration import fit_temperature
from cxr.evaluation.stats.classification import Predictions
from cxr.evaluation.stats.intervals import Floats, Interval, Labels, ratio, rounded, wilson
from cxr.inference.decisions import NOT_SUSPECTED, REFER, Decision, Decisions, ReferReason, rank_of_limit
from cxr.inference.gate import FLAGS, REASONS, Judged
from cxr.inference.model_folder import VALIDATION
from cxr.inference.network import softmax
from cxr.inference.outputs import SavedOutputs


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
        rank = rank_of_limit(alpha, len(own))
        minima.append(float(own[rank - 1]) if rank else 0.0)
    return minima


@dataclass(frozen=True, slots=True)
class Referral:
    """What referring does.

    Attributes:
        share: Of the images that are referred.
        errors: Images whose prediction is not the truth.
        errors_referred: Those of them that are referred.
        share_of_errors_referred: None without errors.
        error_answered: Share of errors in what is not referred; None where all is.
    """

    share: Interval
    errors: int
    errors_referred: int
    share_of_errors_referred: Interval | None
    error_answered: Interval | None


@dataclass(frozen=True, slots=True)
class ClassCoverage:
    """How often the prediction sets of a class's images hold it.

    Attributes:
        name: Of the class.
        n: Its images.
        coverage: Share, 0 to 1.
    """

    name: str
    n: int
    coverage: Interval


@dataclass(frozen=True, slots=True)
class PredictionSets:
    """Prediction sets on the test split.

    Attributes:
        alpha: Share of a class that its sets may lack.
        by_class: Coverage.
        sizes: Images by the number of classes in their set, from "0" on.
        referred: What becomes of the errors when sets not of one class are referred.
    """

    alpha: float
    by_class: tuple[ClassCoverage, ...]
    sizes: Mapping[str, int]
    referred: Referral


def prediction_sets(test: Predictions, decisions: Decisions) -> PredictionSets:
    """Return coverage by class, sizes of the sets, and what referring by them does."""
    sets = decisions.sets(test.probabilities)
    covered = sets[np.arange(len(test)), test.truth]
    sizes = sets.sum(axis=1)
    members = [test.truth == number for number in range(len(test.classes))]
    return PredictionSets(
        alpha=decisions.alpha,
        by_class=tuple(
            ClassCoverage(name, int(own.sum()), wilson(int(covered[own].sum()), int(own.sum())))
            for name, own in zip(test.classes, members, strict=True)
        ),
        sizes={str(size): int((sizes == size).sum()) for size in range(len(test.classes) + 1)},
        referred=referral(~test.right, sizes != 1),
    )


def referral(wrong: NDArray[np.bool_], referred: NDArray[np.bool_]) -> Referral:
    """Return what referring does.

    Args:
        wrong: bool (n,), where the prediction is not the truth.
        referred: bool (n,).
    """
    errors, caught, answered = int(wrong.sum()), int((wrong & referred).sum()), int((~referred).sum())
    return Referral(
        share=wilson(int(referred.sum()), len(referred)),
        errors=errors,
        errors_referred=caught,
        share_of_errors_referred=wilson(caught, errors) if errors else None,
        error_answered=wilson(errors - caught, answered) if answered else None,
    )


AIM = 0.95
PREVALENCES = (0.33, 0.10, 0.02, 0.01)


@dataclass(frozen=True, slots=True)
class ChosenPoint:
    """An operating point.

    Attributes:
        threshold: Suspected from this probability of the target class on; not rounded.
        aim: What it was chosen for, in words.
        sensitivity: On the images that it was chosen on, 0 to 1.
        specificity: The same.
    """

    threshold: float
    aim: str
    sensitivity: float | None
    specificity: float | None


def choose_points(
    positive: NDArray[np.bool_], probability: Floats, target: str, on: str = VALIDATION
) -> dict[str, ChosenPoint]:
    """Choose <target>_sens95 and <target>_spec95.

    Two thresholds are considered: of those that find 95 % of the target class, the one with the fewest false alarms;
    of those that pass 95 % of the others, the one that misses the fewest. Where several do equally well, the lowest
    is taken of the first kind and the highest of the second, so that nothing is given away that costs nothing. The
    lower of the two, which suspects more, is <target>_sens95, the higher is <target>_spec95. Where no threshold meets
    both aims, each point meets the aim of its name. Where some do, both points meet both aims, and the one that is
    named for sensitivity is the one that misses fewer.

    Thresholds lie halfway between probabilities that occur, or above them all.

    Args:
        positive: bool (n,), images of the target class; both kinds occur.
        probability: float64 (n,), of the target class.
        target: Its name.
        on: What the images are, for the words of the aim.

    Returns:
        The points by name.
    """
    found = np.unique(probability)
    # The mean of two neighbouring floats is the lower one, which would be suspected with the upper.
    between = np.maximum((found[:-1] + found[1:]) / 2, np.nextafter(found[:-1], np.inf))
    candidates = np.concatenate([[found[0]], between, [np.nextafter(found[-1], np.inf)]])
    cases, others = np.sort(probability[positive]), np.sort(probability[~positive])
    # Found cases are counted: 1 - 1/20 is a hair below 0.95.
    sensitivity = (len(cases) - np.searchsorted(cases, candidates)) / len(cases)
    specificity = np.searchsorted(others, candidates) / len(others)
    fewest_alarms = specificity == specificity[sensitivity >= AIM].max()
    fewest_missed = sensitivity == sensitivity[specificity >= AIM].max()
    low, high = sorted((np.flatnonzero(fewest_alarms).min(), np.flatnonzero(fewest_missed).max()))
    return {
        f"{target}_{short}95": ChosenPoint(
            threshold=float(candidates[chosen]),
            aim=f"{word} at least {AIM} on {on}",
            sensitivity=rounded(sensitivity[chosen]),
            specificity=rounded(specificity[chosen]),
        )
        for short, word, chosen in (("sens", "sensitivity", low), ("spec", "specificity", high))
    }


@dataclass(frozen=True, slots=True)
class PredictiveValues:
    """What a yes and a no are worth where the target class has another share.

    Attributes:
        prevalence: Share of the target class, 0 to 1.
        ppv: Positive predictive value, 0 to 1; None where it is not defined.
        npv: Negative predictive value.
    """

    prevalence: float
    ppv: float | None
    npv: float | None


@dataclass(frozen=True, slots=True)
class MeasuredPoint:
    """An operating point applied to the test split.

    Attributes:
        name: Of the point.
        threshold: Of the probability of the target class, six decimals.
        aim: What it was chosen for, in words.
        chosen_sensitivity: On the answers that it was chosen on, 0 to 1; None where nobody says.
        chosen_specificity: The same.
        sensitivity: On the test split, 0 to 1.
        specificity: On the test split, 0 to 1.
        by_prevalence: Predictive values where the target class has other shares.
    """

    name: str
    threshold: float | None
    aim: str
    chosen_sensitivity: float | None
    chosen_specificity: float | None
    sensitivity: Interval
    specificity: Interval
    by_prevalence: tuple[PredictiveValues, ...]


def measure_points(test: Predictions, decisions: Decisions) -> tuple[MeasuredPoint, ...]:
    """Apply the frozen operating points to the test split."""
    points = []
    for name, point in decisions.points.items():
        sensitivity, specificity = _rates(test, decisions, name)
        points.append(
            MeasuredPoint(
                name=name,
                threshold=rounded(point.threshold),
                aim=point.aim,
                chosen_sensitivity=point.sensitivity,
                chosen_specificity=point.specificity,
                sensitivity=sensitivity,
                specificity=specificity,
                by_prevalence=by_prevalence(sensitivity.value, specificity.value),
            )
        )
    return tuple(points)


def by_prevalence(
    sensitivity: float | None, specificity: float | None, prevalences: Sequence[float] = PREVALENCES
) -> tuple[PredictiveValues, ...]:
    """Return predictive values where the target class has these shares, by Bayes' rule."""
    values = []
    for share in prevalences:
        ppv = npv = None
        if sensitivity is not None and specificity is not None:
            true, false = sensitivity * share, (1 - specificity) * (1 - share)
            cleared, missed = specificity * (1 - share), (1 - sensitivity) * share
            ppv, npv = ratio(true, true + false), ratio(cleared, cleared + missed)
        values.append(PredictiveValues(share, rounded(ppv), rounded(npv)))
    return tuple(values)


def _rates(answers: Predictions, decisions: Decisions, name: str) -> tuple[Interval, Interval]:
    positive = answers.truth == answers.classes.index(decisions.target)
    suspected = decisions.suspected(answers.probabilities, name)
    return detection_rates(positive, suspected)


def detection_rates(positive: NDArray[np.bool_], suspected: NDArray[np.bool_]) -> tuple[Interval, Interval]:
    """Return sensitivity and specificity of a yes or no, both with Wilson intervals."""
    found, passed = int((suspected & positive).sum()), int((~suspected & ~positive).sum())
    return wilson(found, int(positive.sum())), wilson(passed, int((~positive).sum()))


COVERAGES = (1.0, 0.95, 0.9, 0.8)


@dataclass(frozen=True, slots=True)
class RiskAtCoverage:
    """A point of the risk-coverage curve.

    Attributes:
        coverage: Share of the images that are accepted, those of the largest confidence, 0 to 1.
        risk: Share of errors among them.
    """

    coverage: float | None
    risk: float | None


@dataclass(frozen=True, slots=True)
class RiskAtThreshold(RiskAtCoverage):
    """The same, with the confidence from which on images are accepted."""

    threshold: float | None


@dataclass(frozen=True, slots=True)
class SelectiveRisk:
    """What is gained by answering only the surest.

    Attributes:
        curve: At a hundred coverages.
        at: At four.
        aurc: Area under the curve, 0 to 1.
        augrc: The generalised one, see `augrc`.
    """

    curve: tuple[RiskAtCoverage, ...]
    at: tuple[RiskAtThreshold, ...]
    aurc: float | None
    augrc: float | None


def selective_risk(test: Predictions) -> SelectiveRisk:
    """Return the risk-coverage curve, its figures at four coverages, and both areas."""
    confidence, wrong = test.confidence, ~test.right
    cumulative = cumulative_errors(confidence, wrong)
    n = len(test)
    risk = cumulative / np.arange(1, n + 1)
    counts = np.unique(np.ceil(np.linspace(0.01, 1, 100) * n - 1e-9).astype(int))
    ordered = np.sort(confidence)[::-1]
    at = [(coverage, int(np.ceil(coverage * n - 1e-9))) for coverage in COVERAGES]
    return SelectiveRisk(
        curve=tuple(RiskAtCoverage(rounded(count / n), rounded(risk[count - 1])) for count in counts),
        at=tuple(
            RiskAtThreshold(coverage, rounded(risk[count - 1]), rounded(ordered[count - 1])) for coverage, count in at
        ),
        aurc=rounded(risk.mean()),
        augrc=rounded(augrc(confidence, wrong)),
    )


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


Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What becomes of the test images, and where errors end.

    An error is a prediction, the class of the largest probability, that is not the truth; also of what is rejected.

    Attributes:
        rejected: Share of all.
        referred: Share of all.
        answered: Share of all.
        errors: Images.
        errors_rejected: Images.
        errors_referred: Images.
        share_of_errors_rejected: None without errors.
        share_of_errors_referred: None without errors.
        error_answered: Share of errors in what is answered; None where nothing is.
        missed: Images of the target class that are answered as not suspected, of all of it.
    """

    rejected: Interval
    referred: Interval
    answered: Interval
    errors: int
    errors_rejected: int
    errors_referred: int
    share_of_errors_rejected: Interval | None
    share_of_errors_referred: Interval | None
    error_answered: Interval | None
    missed: Interval


@dataclass(frozen=True, slots=True)
class ReasonedOutcomes(Outcomes):
    """The same, with what stands behind it: shares of all images.

    Attributes:
        rejected_by: By reason of the gate.
        referred_by: By reason of the decision.
        flags: By flag of the gate; an image may have several.
    """

    rejected_by: Mapping[str, Interval]
    referred_by: Mapping[str, Interval]
    flags: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class Answering:
    """What becomes of the test images.

    Attributes:
        gated: As cxr-batch decides, with all that rejects and refers.
        ungated: By prediction sets alone.
    """

    gated: ReasonedOutcomes
    ungated: Outcomes


def reasoned_outcomes(
    test: Predictions, target: str, gated: Sequence[Decision | None], judged: Judged
) -> ReasonedOutcomes:
    """Return what becomes of the images and why.

    Args:
        test: The network's answers, n.
        target: Class of the operating point.
        gated: What is decided; None where the gate rejects.
        judged: What the gate says.
    """
    referred = [one.reason if one else None for one in gated]
    return ReasonedOutcomes(
        **parts(outcomes(test, target, gated)),
        rejected_by=by_reason(judged.reasons.tolist(), REASONS),
        referred_by=by_reason(referred, tuple(ReferReason)),
        flags={str(flag): wilson(int(judged.flags[:, n].sum()), len(test)) for n, flag in enumerate(FLAGS)},
    )


def outcomes(test: Predictions, target: str, decided: Sequence[Decision | None]) -> Outcomes:
    """Return the shares that are rejected, referred and answered, and where errors end; None is a rejected image."""
    words = np.array([one.word if one else "" for one in decided])
    rejected, referred = words == "", words == REFER
    answered, wrong = ~rejected & ~referred, ~test.right
    positive = test.truth == test.classes.index(target)
    errors, missed = int(wrong.sum()), positive & (words == NOT_SUSPECTED)
    return Outcomes(
        rejected=_share(rejected),
        referred=_share(referred),
        answered=_share(answered),
        errors=errors,
        errors_rejected=int((wrong & rejected).sum()),
        errors_referred=int((wrong & referred).sum()),
        share_of_errors_rejected=_share(rejected[wrong]) if errors else None,
        share_of_errors_referred=_share(referred[wrong]) if errors else None,
        error_answered=_share(wrong[answered]) if answered.any() else None,
        missed=wilson(int(missed.sum()), int(positive.sum())),
    )


def by_reason(found: Sequence[str | None], reasons: Sequence[str]) -> dict[str, Interval]:
    """Return the share of each reason among all images, in the order of the vocabulary."""
    return {str(reason): wilson(found.count(reason), len(found)) for reason in reasons}


def _share(chosen: Bools) -> Interval:
    return wilson(int(chosen.sum()), len(chosen))


@dataclass(frozen=True, slots=True)
class SetLimits:
    """Of the prediction sets.

    Attributes:
        alpha: Share of a class that its sets may lack.
        minimum: By class, the probability from which on it is in the set.
    """

    alpha: float
    minimum: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class FittedDecisions:
    """What decisions.json holds of validation; nothing is rounded.

    Attributes:
        temperature: That logits are divided by.
        target: Class of the operating points.
        operating_points: By name.
        default_operating_point: Its name.
        conformal: Limits of the prediction sets.
    """

    temperature: float
    target: str
    operating_points: Mapping[str, ChosenPoint]
    default_operating_point: str
    conformal: SetLimits


def fit_decisions(validation: SavedOutputs, target: str, alpha: float, on: str = VALIDATION) -> FittedDecisions:
    """Fit temperature, operating points and prediction sets.

    Args:
        validation: A network's outputs on the validation split, or what else was not learnt from.
        target: Class of the operating points.
        alpha: Share of a class that its prediction sets may lack.
        on: What the images are, for the words of the aims.

    Raises:
        DataError: Validation has no images of the target class, or no others.
    """
    positive = validation.truth == validation.classes.index(target)
    if positive.all() or not positive.any():
        raise DataError(
            f"the validation split has {positive.sum()} of {len(positive)} images of the class {target}; an operating "
            f"point needs images of it and of others: set split.validation higher or prepare more images"
        )
    temperature = fit_temperature(validation.logits, validation.truth)
    probabilities = softmax(validation.logits.astype(float) / temperature)
    minima = smallest_members(validation.truth, probabilities, alpha)
    return FittedDecisions(
        temperature=temperature,
        target=target,
        operating_points=choose_points(positive, probabilities[:, validation.classes.index(target)], target, on),
        default_operating_point=f"{target}_sens95",
        conformal=SetLimits(alpha, dict(zip(validation.classes, minima, strict=True))),
    )
