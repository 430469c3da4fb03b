"""Decisions and what they cost: prediction sets, operating points, selective answers; fitted on validation."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import DataError
from cxr.core.files import JsonObject
from cxr.evaluation.stats.calibration import fit_temperature
from cxr.evaluation.stats.classification import Predictions
from cxr.evaluation.stats.intervals import Floats, Labels, ratio, rounded, wilson
from cxr.inference.decisions import NOT_SUSPECTED, REFER, Decision, Decisions, ReferReason
from cxr.inference.gate import FLAGS, REASONS, Judged
from cxr.inference.network import softmax
from cxr.inference.outputs import SavedOutputs

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


def conformal_section(test: Predictions, decisions: Decisions) -> JsonObject:
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


AIM = 0.95
PREVALENCES = (0.33, 0.10, 0.02, 0.01)


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


def operating_points_section(
    test: Predictions, decisions: Decisions, validation: Predictions | None
) -> list[JsonObject]:
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


def _rates(answers: Predictions, decisions: Decisions, name: str) -> tuple[JsonObject, JsonObject]:
    positive = answers.truth == answers.classes.index(decisions.target)
    suspected = decisions.suspected(answers.probabilities, name)
    return detection_rates(positive, suspected)


def detection_rates(positive: NDArray[np.bool_], suspected: NDArray[np.bool_]) -> tuple[JsonObject, JsonObject]:
    """Return sensitivity and specificity of a yes or no, both with Wilson intervals."""
    found, passed = int((suspected & positive).sum()), int((~suspected & ~positive).sum())
    return wilson(found, int(positive.sum())), wilson(passed, int((~positive).sum()))


COVERAGES = (1.0, 0.95, 0.9, 0.8)


def selective_section(test: Predictions) -> JsonObject:
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


Bools = NDArray[np.bool_]


def answering_section(test: Predictions, target: str, gated: Sequence[Decision | None], judged: Judged) -> JsonObject:
    """Return what becomes of the images; see `paths` for the shares, `by_reason` for what stands behind them.

    Args:
        test: The network's answers, n.
        target: Class of the operating point.
        gated: What is decided; None where the gate rejects.
        judged: What the gate says.
    """
    referred = [one.reason if one else None for one in gated]
    return {
        **paths(test, target, gated),
        "rejected_by": by_reason(judged.reasons.tolist(), REASONS),
        "referred_by": by_reason(referred, tuple(ReferReason)),
        "flags": {str(flag): wilson(int(judged.flags[:, n].sum()), len(test)) for n, flag in enumerate(FLAGS)},
    }


def paths(test: Predictions, target: str, decided: Sequence[Decision | None]) -> JsonObject:
    """Return the shares that are rejected, referred and answered, and where errors end.

    An error is a prediction, the class of the largest probability, that is not the truth; also of what is rejected.

    Returns:
        rejected, referred, answered (of all); errors, errors_rejected, errors_referred (numbers);
        share_of_errors_rejected, share_of_errors_referred (null without errors); error_answered (of what is answered;
        null where nothing is); missed: images of the target class that are answered as not suspected, of all of it.
    """
    words = np.array([one.word if one else "" for one in decided])
    rejected, referred = words == "", words == REFER
    answered, wrong = ~rejected & ~referred, ~test.right
    positive = test.truth == test.classes.index(target)
    errors, missed = int(wrong.sum()), positive & (words == NOT_SUSPECTED)
    return {
        "rejected": _share(rejected),
        "referred": _share(referred),
        "answered": _share(answered),
        "errors": errors,
        "errors_rejected": int((wrong & rejected).sum()),
        "errors_referred": int((wrong & referred).sum()),
        "share_of_errors_rejected": _share(rejected[wrong]),
        "share_of_errors_referred": _share(referred[wrong]),
        "error_answered": _share(wrong[answered]),
        "missed": wilson(int(missed.sum()), int(positive.sum())),
    }


def by_reason(found: Sequence[str | None], reasons: Sequence[str]) -> JsonObject:
    """Return the share of each reason among all images, in the order of the vocabulary."""
    return {str(reason): wilson(found.count(reason), len(found)) for reason in reasons}


def _share(chosen: Bools) -> JsonObject | None:
    return wilson(int(chosen.sum()), len(chosen)) if len(chosen) else None


def fit_decisions(validation: SavedOutputs, target: str, alpha: float) -> JsonObject:
    """Fit temperature, operating points and prediction sets.

    Args:
        validation: A network's outputs on the validation split.
        target: Class of the operating points.
        alpha: Share of a class that its prediction sets may lack.

    Returns:
        The members temperature, target, operating_points, default_operating_point and conformal of decisions.json,
        not rounded.

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
    return {
        "temperature": temperature,
        "target": target,
        "operating_points": choose_points(positive, probabilities[:, validation.classes.index(target)], target),
        "default_operating_point": f"{target}_sens95",
        "conformal": {"alpha": alpha, "minimum": dict(zip(validation.classes, minima, strict=True))},
    }
