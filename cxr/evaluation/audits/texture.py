"""Is texture enough for a network, without anatomy?"""

from dataclasses import dataclass

from cxr.core.records import Audit, AuditRecord, Result
from cxr.evaluation.audits.subject import AuditData, Subject
from cxr.evaluation.audits.variants import CUTS, GRIDS, ByVariant
from cxr.evaluation.reporting.format import SHARE
from cxr.evaluation.stats.intervals import Labels, balanced_accuracy, rounded

AUDIT = Audit("texture", "Patch shuffling", fixable=False)
PER_NETWORK = True

ABOVE_CHANCE = 0.15


@dataclass(frozen=True, slots=True)
class Shuffled:
    """Pictures cut into grid x grid patches in another order.

    Attributes:
        grid: Patches along a side.
        balanced_accuracy: On them, 0 to 1.
    """

    grid: int
    balanced_accuracy: float | None


@dataclass(frozen=True, slots=True)
class Filtered:
    """Low-pass or high-pass pictures.

    Attributes:
        kind: low or high.
        cut: Of the filter, cycles a side.
        balanced_accuracy: On them, 0 to 1.
    """

    kind: str
    cut: float
    balanced_accuracy: float | None


@dataclass(frozen=True, slots=True)
class Texture:
    """What is left when layout is gone.

    Attributes:
        shuffled: A row a grid.
        chance: Balanced accuracy of guessing, not rounded.
    """

    shuffled: tuple[Shuffled, ...]
    chance: float


def measure(subject: Subject, data: AuditData) -> Texture:
    """Return the accuracies on shuffled pictures."""
    truth, answers = subject.test.truth, subject.answers
    rows = (Shuffled(grid, rounded(balanced_accuracy(truth, answers[f"shuffle_{grid}"]))) for grid in GRIDS)
    return Texture(tuple(rows), data.baseline.chance)


def frequencies(truth: Labels, answers: ByVariant) -> tuple[Filtered, ...]:
    """Return the balanced accuracies on low-pass and high-pass pictures, given the true classes int64 (n,)."""
    return tuple(
        Filtered(kind, cut, rounded(balanced_accuracy(truth, answers[f"{kind}_{cut}"])))
        for kind in ("low", "high")
        for cut in CUTS
    )


def judge(figures: Texture, model: str | None) -> AuditRecord:
    """Warn where the finest patches are enough."""
    finest = max(figures.shuffled, key=lambda row: row.grid)
    grid, reached, limit = finest.grid, finest.balanced_accuracy or 0.0, figures.chance + ABOVE_CHANCE
    return AUDIT.record(
        Result.WARN if reached > limit else Result.PASS,
        f"On pictures cut into {grid} x {grid} patches and shuffled, {model} reaches {SHARE.number(reached)} balanced "
        f"accuracy; chance is {SHARE.number(figures.chance)}.",
        f"A warning above {SHARE.number(limit)}: then texture is enough, and anatomy is not needed.",
        {f"grid_{row.grid}": row.balanced_accuracy for row in figures.shuffled},
        model,
    )
