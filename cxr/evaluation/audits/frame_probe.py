"""Can classes be told from the border of the picture, where hardly any lung is?"""

from dataclasses import dataclass, field

from cxr.core.records import Audit, AuditRecord, Result
from cxr.evaluation.audits.subject import AuditData, Subject
from cxr.evaluation.reporting.format import SHARE
from cxr.evaluation.stats.intervals import Interval

AUDIT = Audit("frame_probe", "Frame-only probe", fixable=False)
PER_NETWORK = False

ABOVE_CHANCE = 0.10  # some five standard errors at 240 images a class


@dataclass(frozen=True, slots=True)
class BorderBaseline:
    """Balanced accuracy from the border alone, 0 to 1, and that of guessing."""

    border: Interval = field(metadata={"key": "frame"})
    chance: float


def measure(_subject: Subject, data: AuditData) -> BorderBaseline:
    """Return what the border baseline reaches."""
    return BorderBaseline(data.baseline_figures.border, data.baseline_figures.chance)


def judge(figures: BorderBaseline, model: str | None = None) -> AuditRecord:
    """Warn where the border tells classes apart."""
    reached, chance = figures.border, figures.chance
    return AUDIT.record(
        Result.WARN if (reached.value or 0) > chance + ABOVE_CHANCE else Result.PASS,
        f"The frame alone, 40 blocks along the border, gives {SHARE.interval(reached)} balanced accuracy; "
        f"chance is {SHARE.number(chance)}.",
        f"A warning above {SHARE.number(chance + ABOVE_CHANCE)}.",
        figures,
        model,
    )
