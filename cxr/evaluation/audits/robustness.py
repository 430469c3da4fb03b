"""Do answers survive changes that a radiologist would not mind?"""

from dataclasses import dataclass

import numpy as np

from cxr.core.records import Audit, AuditRecord, Result
from cxr.evaluation.audits.subject import AuditData, Subject
from cxr.evaluation.audits.variants import FULL, ByVariant, changes
from cxr.evaluation.reporting.format import POINTS, SHARE
from cxr.evaluation.stats.intervals import DIGITS, Labels, balanced_accuracy

AUDIT = Audit("robustness", "Robustness to benign changes", fixable=False)
PER_NETWORK = True

LARGEST_FALL = 0.05
NOT_BENIGN = ("inverted", "mirrored")  # another picture: low bones, a heart on the right


@dataclass(frozen=True, slots=True)
class Perturbed:
    """What a change to the pictures does.

    Attributes:
        perturbation: Name of the change.
        text: What it is, in words.
        balanced_accuracy: On the changed pictures, 0 to 1.
        change: That less the balanced accuracy on the unaltered ones.
        flips: Share of answers that change.
    """

    perturbation: str
    text: str
    balanced_accuracy: float
    change: float
    flips: float


def measure(subject: Subject, _data: AuditData) -> tuple[Perturbed, ...]:
    """Return a row a change."""
    return measure_robustness(subject.test.truth, subject.answers)


def measure_robustness(truth: Labels, answers: ByVariant) -> tuple[Perturbed, ...]:
    """Return a row a change, given the true classes int64 (n,) and the answers."""
    full = balanced_accuracy(truth, answers[FULL])
    rows = []
    for name, (text, _) in changes(0).items():
        value = balanced_accuracy(truth, answers[name])
        change = round(value - full, DIGITS) + 0.0  # never -0.0
        flips = round(float(np.mean(answers[name] != answers[FULL])), DIGITS)
        rows.append(Perturbed(name, text, round(value, DIGITS), change, flips))
    return tuple(rows)


def judge(figures: tuple[Perturbed, ...], model: str | None) -> AuditRecord:
    """Warn where a benign change costs too much."""
    benign = [row for row in figures if row.perturbation not in NOT_BENIGN]
    worst, restless = min(benign, key=lambda row: row.change), max(benign, key=lambda row: row.flips)
    return AUDIT.record(
        Result.WARN if worst.change < -LARGEST_FALL else Result.PASS,
        f"The worst of {len(benign)} benign changes for {model} is: {worst.text}; balanced accuracy "
        f"{'falls' if worst.change < 0 else 'rises'} by {POINTS.number(abs(worst.change))}. Most answers change, "
        f"{SHARE.number(restless.flips)}, with: {restless.text}.",
        f"A warning if balanced accuracy falls by more than {100 * LARGEST_FALL:.0f} points; inversion and mirroring "
        "are shown and not judged.",
        {row.perturbation: {"change": row.change, "flips": row.flips} for row in figures},
        model,
    )
