"""Is a network as good on children as on adults?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.core.records import Audit, AuditRecord, Result
from cxr.evaluation.audits.age_blocks import MIXED, PAEDIATRIC, AgeBlocks
from cxr.evaluation.audits.subgroups import SMALL
from cxr.evaluation.audits.subject import AuditData, Subject
from cxr.evaluation.reporting.format import POINTS, SHARE
from cxr.evaluation.stats.intervals import Interval, Labels, interval, wilson
from cxr.inference.outputs import SavedOutputs

AUDIT = Audit("children_adults", "Children against adults", fixable=False)
PER_NETWORK = True

LARGEST_GAP = 0.05


@dataclass(frozen=True, slots=True)
class BlockRates:
    """Of the test images in one block of the class `normal`.

    Attributes:
        name: Of the block, see `AgeBlocks`.
        n: Images.
        recall: Share called normal, 0 to 1.
        specificity: Share not called {PAEDIATRIC}.
    """

    name: str
    n: int
    recall: Interval
    specificity: Interval


@dataclass(frozen=True, slots=True)
class AgeGap:
    """Both blocks and their gaps, lower minus upper.

    Attributes:
        number: Last file number of the lower block.
        areas: How well each block is told from viral pneumonia, 0.5 to 1, lower first; None where not measured.
        blocks: The lower and the upper one.
        recall_gap: -1 to 1; None where a block has no test image.
        specificity_gap: The same.
    """

    number: int
    areas: tuple[float, float] | None
    blocks: tuple[BlockRates, BlockRates]
    recall_gap: Interval | None
    specificity_gap: Interval | None


def measure(subject: Subject, data: AuditData) -> AgeGap | None:
    """Return the gap on the test split; None where the pixels show no two blocks."""
    return age_gap(subject.test, subject.predicted, data.blocks) if data.blocks else None


def age_gap(test: SavedOutputs, predicted: Labels, blocks: AgeBlocks) -> AgeGap:
    """Return recall of `normal`, and specificity against viral pneumonia, in both blocks and their gaps.

    Args:
        test: The outputs on the test split.
        predicted: Class numbers int64 (n,).
        blocks: Of the class `normal`.
    """
    normal = test.truth == test.classes.index(MIXED)
    lower, upper = (
        _rates(test, predicted, normal & member, name)
        for member, name in zip(blocks.members(test.files), blocks.names, strict=True)
    )
    whole = lower.n > 0 and upper.n > 0
    return AgeGap(
        number=blocks.number,
        areas=blocks.areas,
        blocks=(lower, upper),
        recall_gap=gap(lower.recall, upper.recall) if whole else None,
        specificity_gap=gap(lower.specificity, upper.specificity) if whole else None,
    )


def gap(first: Interval, second: Interval) -> Interval:
    """Return first - second of two shares of different images, with the interval of Newcombe 1998 (his method 10).

    Args:
        first: A share with its Wilson interval.
        second: Another.
    """
    (p, low, high), (q, below, above) = _bounds(first), _bounds(second)
    return interval(p - q, p - q - np.hypot(p - low, above - q), p - q + np.hypot(high - p, q - below))


def _bounds(share: Interval) -> tuple[float, float, float]:
    if share.value is None or share.low is None or share.high is None:
        raise ValueError("a gap needs two shares with bounds")
    return share.value, share.low, share.high


def _rates(test: SavedOutputs, predicted: Labels, member: NDArray[np.bool_], name: str) -> BlockRates:
    n = int(member.sum())
    right = int((predicted[member] == test.truth[member]).sum())
    others = int((predicted[member] != test.classes.index(PAEDIATRIC)).sum())
    return BlockRates(name, n, wilson(right, n), wilson(others, n))


def judge(figures: AgeGap | None, model: str | None) -> AuditRecord:
    """Warn of a gap between the two blocks."""
    result, found = (
        Result.NOT_APPLICABLE,
        (
            f"The data do not have the classes {MIXED} and {PAEDIATRIC}, with children and adults among {MIXED} that "
            "the pixels tell apart."
        ),
    )
    if figures is not None:
        lower, upper = figures.blocks
        result, found = Result.NOT_MEASURABLE, f"The blocks have {lower.n} and {upper.n} test images."
        if min(lower.n, upper.n) >= SMALL and figures.recall_gap and figures.specificity_gap:
            gaps = (figures.recall_gap, figures.specificity_gap)
            largest = max(abs(one.value or 0) for one in gaps)
            result = Result.WARN if largest > LARGEST_GAP else Result.PASS
            found = _sentence(figures, *gaps, model)
    limit = (
        f"A warning if recall, or specificity against {PAEDIATRIC}, differs by more than {100 * LARGEST_GAP:.0f} "
        f"points; not judged below {SMALL} test images a block."
    )
    return AUDIT.record(result, found, limit, figures or {}, model)


def _sentence(figures: AgeGap, recall_gap: Interval, specificity_gap: Interval, model: str | None) -> str:
    first, second = figures.blocks
    ages = "" if figures.areas else "; their ages are not known"
    return (
        f"Of class {MIXED}, files up to {figures.number} ({first.name}) and above ({second.name}): recall of "
        f"{model} {SHARE.interval(first.recall)} and {SHARE.interval(second.recall)}, a gap of "
        f"{POINTS.interval(recall_gap)}; not called {PAEDIATRIC} {SHARE.interval(first.specificity)} and "
        f"{SHARE.interval(second.specificity)}, a gap of {POINTS.interval(specificity_gap)}{ages}."
    )
