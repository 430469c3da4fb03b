"""Does a network rise above what overall grey alone gives?"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cxr.core.records import Audit, AuditRecord, Result, as_json
from cxr.evaluation.audits.shortcut_baseline import ShortcutBaseline
from cxr.evaluation.audits.subject import AuditData, Subject
from cxr.evaluation.reporting.format import SHARE, above_or_below
from cxr.evaluation.stats.intervals import Interval, Labels, score

AUDIT = Audit("appearance_floor", "Lift over the appearance floor", fixable=True)
PER_NETWORK = True

LEAST_IMAGES = 100  # of a class: below, the interval of a gain is wider than what is asked
LEAST_GAIN = 0.05


@dataclass(frozen=True, slots=True)
class GainOverBaseline:
    """How far a network is above the shortcut baselines: balanced accuracies and paired differences.

    Attributes:
        appearance: Balanced accuracy from overall grey, 0 to 1.
        border: Balanced accuracy from the border.
        over_appearance: The network's less the first, -1 to 1.
        over_border: The network's less the second.
    """

    appearance: Interval = field(metadata={"key": "floor"})
    border: Interval = field(metadata={"key": "frame"})
    over_appearance: Interval = field(metadata={"key": "over_floor"})
    over_border: Interval = field(metadata={"key": "over_frame"})


@dataclass(frozen=True, slots=True)
class JudgedGain:
    """A gain with what decides how it is judged.

    Attributes:
        gain: Over the baselines.
        smallest_class: Test images of the smallest class.
        screening: Whether the network was chosen for screening.
    """

    gain: GainOverBaseline
    smallest_class: int
    screening: bool


def measure(subject: Subject, data: AuditData) -> JudgedGain:
    """Return the gain on the test split."""
    smallest = int(np.bincount(subject.test.truth, minlength=len(subject.outputs.classes)).min())
    return JudgedGain(gain_over_baseline(subject.predicted, data.baseline, data.weights), smallest, subject.screening)


def gain_over_baseline(predicted: Labels, baseline: ShortcutBaseline, weights: NDArray[np.float64]) -> GainOverBaseline:
    """Return how far a network is above the baselines.

    Args:
        predicted: The network's answers on the test split, int64 (n,), in the order of `baseline`.
        baseline: What the baselines answer.
        weights: Of the bootstrap, float64 (draws, n).
    """
    own, appearance, border = (
        score(baseline.truth, answers, weights) for answers in (predicted, baseline.appearance, baseline.border)
    )
    return GainOverBaseline(
        appearance=appearance.interval,
        border=border.interval,
        over_appearance=(own - appearance).interval,
        over_border=(own - border).interval,
    )


def judge(figures: JudgedGain, model: str | None) -> AuditRecord:
    """Fail where the network that screens is not above overall grey."""
    gain, smallest = figures.gain, figures.smallest_class
    result = _result(figures)
    found = (
        f"The balanced accuracy of {model} is {above_or_below(gain.over_appearance)} that of a random forest on 22 "
        f"numbers of overall grey, which reaches {SHARE.interval(gain.appearance)}, and "
        f"{above_or_below(gain.over_border)} that of one on the frame alone"
    )
    if result is Result.NOT_MEASURABLE:
        found += f"; with {smallest} test images in the smallest class, this is not judged"
    limit = (
        "A failure if the interval of the lift reaches 0 (for a network not chosen for screening: a warning), a "
        f"warning below {100 * LEAST_GAIN:.0f} points; not judged below {LEAST_IMAGES} test images a class."
    )
    return AUDIT.record(result, f"{found}.", limit, as_json(gain) | {"smallest_class": smallest}, model)


def _result(figures: JudgedGain) -> Result:
    above = figures.gain.over_appearance
    if figures.smallest_class < LEAST_IMAGES or above.value is None:
        return Result.NOT_MEASURABLE
    # Without bounds, no resample differed: the value itself is the bound.
    if (above.value if above.low is None else above.low) <= 0:
        return Result.FAIL if figures.screening else Result.WARN
    return Result.WARN if above.value < LEAST_GAIN else Result.PASS
