"""What is left of a network's accuracy without the lungs?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.core.records import Audit, AuditRecord, Result
from cxr.evaluation.audits.subject import AuditData, Subject
from cxr.evaluation.audits.variants import BOX, FULL, MASKS, PREDICTED, ByVariant, find_regions
from cxr.evaluation.reporting.format import SHARE
from cxr.evaluation.stats.intervals import Interval, Labels, rounded, score

AUDIT = Audit("lung_dependence", "Dependence on the lungs", fixable=False)
PER_NETWORK = True

LEAST_DEPENDENCE = 0.5
REGIONS = (FULL, "lungs_blacked", "border_only", "lungs_only")
BLACKED = {
    MASKS: "boxes around the lung masks are",
    PREDICTED: "boxes around the lungs that the segmenter finds are",
    BOX: "a fixed box around the lungs is",
}


@dataclass(frozen=True, slots=True)
class LungDependence:
    """Balanced accuracies, 0 to 1, with parts of the picture blacked out.

    No training picture had a black box, so a low dependence says more than a high one: a network may fail on the box,
    and not for want of lungs.

    Attributes:
        regions: How the lungs were found, see `variants.Regions`.
        full: On the whole pictures.
        lungs_blacked: Without the lungs.
        border_only: From the border alone.
        lungs_only: From the lungs alone.
        lung_dependence: (full - lungs_blacked) / (full - chance): 1 where nothing is left without the lungs, 0 where
            they do not matter; None for a network that is not clearly better than chance, whose interval reaches it.
    """

    regions: str
    full: Interval
    lungs_blacked: Interval
    border_only: Interval
    lungs_only: Interval
    lung_dependence: float | None


def measure(subject: Subject, data: AuditData) -> LungDependence:
    """Return the dependence on the test split."""
    how = find_regions(subject.model.plane_side, data.masks, predicted=data.predicted).how
    return dependence(subject.test.truth, subject.answers, how, data.weights)


def dependence(truth: Labels, answers: ByVariant, how: str, weights: NDArray[np.float64]) -> LungDependence:
    """Return balanced accuracies with parts of the picture blacked out.

    Args:
        truth: int64 (n,), class numbers.
        answers: Of the network, by variant.
        how: How the lungs were found, see `variants.Regions`.
        weights: Of the bootstrap, float64 (draws, n).
    """
    scores = {name: score(truth, answers[name], weights) for name in REGIONS}
    chance = 1 / len(np.unique(truth))
    full = scores[FULL].interval
    better = (scores[FULL].value if full.low is None else full.low) > chance
    lost = scores[FULL].value - scores["lungs_blacked"].value
    return LungDependence(
        regions=how,
        lung_dependence=rounded(lost / (scores[FULL].value - chance)) if better else None,
        **{name: each.interval for name, each in scores.items()},
    )


def judge(figures: LungDependence, model: str | None) -> AuditRecord:
    """Warn where the network hardly needs the lungs."""
    share = figures.lung_dependence
    where = BLACKED[figures.regions]
    if share is None:
        result, found = Result.NOT_MEASURABLE, f"{model} is not clearly better than chance on the whole pictures."
    else:
        result = Result.WARN if share < LEAST_DEPENDENCE else Result.PASS
        found = (
            f"{model} loses {SHARE.number(share)} of what it is above chance when {where} blacked out: balanced "
            f"accuracy {SHARE.interval(figures.full)} whole, {SHARE.interval(figures.lungs_blacked)} without, "
            f"{SHARE.interval(figures.border_only)} from the border, {SHARE.interval(figures.lungs_only)} "
            f"from the lungs alone."
        )
    limit = (
        f"A warning below {SHARE.number(LEAST_DEPENDENCE)}; a high value proves little, because no training "
        "image had a black box."
    )
    return AUDIT.record(result, found, limit, figures, model)
