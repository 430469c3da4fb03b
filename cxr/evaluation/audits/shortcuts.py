"""What classes are told by without a look at lungs: source, overall grey, the frame, the shape of the lung masks."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cxr.core.image import Masks
from cxr.core.records import AuditRecord, Result, as_json
from cxr.evaluation.audits.subject import AuditData, NetworkAudit, ShortcutBaseline, Subject, forest
from cxr.evaluation.stats.intervals import SHARE, Interval, Labels, Score, above_or_below, draw_weights, rounded, score
from cxr.inference.outputs import SavedOutputs

NEAR_SOURCE_BASELINE = 0.02


@dataclass(frozen=True, slots=True)
class SourceAgainstNetwork:
    """Accuracies on the test split, 0 to 1, not rounded.

    Attributes:
        source: Of answering with the commonest training class of the source; None where no source is known.
        accuracy: Of the network.
    """

    source: float | None
    accuracy: float


class _SourceOracleAudit(NetworkAudit[SourceAgainstNetwork]):
    """Is knowing only the source of an image as good as the network?"""

    def measure(self, subject: Subject, data: AuditData) -> SourceAgainstNetwork:
        """Return both accuracies."""
        accuracy = float(np.mean(subject.predicted == subject.test.truth))
        return SourceAgainstNetwork(data.baseline_figures.source, accuracy)

    def judge(self, figures: SourceAgainstNetwork, model: str | None) -> AuditRecord:
        """Warn where the source alone is as good."""
        source, accuracy = figures.source, figures.accuracy
        if source is None:
            result, found = Result.NOT_APPLICABLE, "No image's source is stated."
        elif source >= accuracy - NEAR_SOURCE_BASELINE:
            result = Result.WARN
            found = (
                f"Knowing only the source collection, without the image, gives {SHARE.number(source)} accuracy, "
                f"{model} {SHARE.number(accuracy)}: accuracy on these data cannot show that disease is detected."
            )
        else:
            result = Result.PASS
            found = (
                f"Knowing only the source collection gives {SHARE.number(source)} accuracy, {model} "
                f"{SHARE.number(accuracy)}."
            )
        limit = f"A warning if the oracle is no more than {100 * NEAR_SOURCE_BASELINE:.0f} points below the network."
        return self.record(result, found, limit, {"oracle": source, "accuracy": rounded(accuracy)}, model)


SOURCE_ORACLE = _SourceOracleAudit("source_oracle", "Source oracle", fixable=False)


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


def _result(figures: JudgedGain) -> Result:
    above = figures.gain.over_appearance
    if figures.smallest_class < LEAST_IMAGES or above.value is None:
        return Result.NOT_MEASURABLE
    # Without bounds, no resample differed: the value itself is the bound.
    if (above.value if above.low is None else above.low) <= 0:
        return Result.FAIL if figures.screening else Result.WARN
    return Result.WARN if above.value < LEAST_GAIN else Result.PASS


class _AppearanceFloorAudit(NetworkAudit[JudgedGain]):
    """Does a network rise above what overall grey alone gives?"""

    def measure(self, subject: Subject, data: AuditData) -> JudgedGain:
        """Return the gain on the test split."""
        smallest = int(np.bincount(subject.test.truth, minlength=len(subject.outputs.classes)).min())
        return JudgedGain(
            gain_over_baseline(subject.predicted, data.baseline, data.weights), smallest, subject.screening
        )

    def judge(self, figures: JudgedGain, model: str | None) -> AuditRecord:
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
        return self.record(result, f"{found}.", limit, as_json(gain) | {"smallest_class": smallest}, model)


APPEARANCE_FLOOR = _AppearanceFloorAudit("appearance_floor", "Lift over the appearance floor", fixable=True)


ABOVE_CHANCE = 0.10  # some five standard errors at 240 images a class


@dataclass(frozen=True, slots=True)
class BorderBaseline:
    """Balanced accuracy from the border alone, 0 to 1, and that of guessing."""

    border: Interval = field(metadata={"key": "frame"})
    chance: float


class _FrameProbeAudit(NetworkAudit[BorderBaseline]):
    """Can classes be told from the border of the picture, where hardly any lung is?"""

    def measure(self, _subject: Subject, data: AuditData) -> BorderBaseline:
        """Return what the border baseline reaches."""
        return BorderBaseline(data.baseline_figures.border, data.baseline_figures.chance)

    def judge(self, figures: BorderBaseline, model: str | None = None) -> AuditRecord:
        """Warn where the border tells classes apart."""
        reached, chance = figures.border, figures.chance
        return self.record(
            Result.WARN if (reached.value or 0) > chance + ABOVE_CHANCE else Result.PASS,
            f"The frame alone, 40 blocks along the border, gives {SHARE.interval(reached)} balanced accuracy; "
            f"chance is {SHARE.number(chance)}.",
            f"A warning above {SHARE.number(chance + ABOVE_CHANCE)}.",
            figures,
            model,
        )


FRAME_PROBE = _FrameProbeAudit("frame_probe", "Frame-only probe", fixable=False, per_network=False)


MADE = {False: "the lung mask", True: "the lungs that the segmenter finds"}


@dataclass(frozen=True, slots=True)
class MaskShape:
    """What four numbers of the lung mask give.

    Attributes:
        reached: Balanced accuracy, 0 to 1; None where there are no masks.
        chance: Balanced accuracy of guessing.
        predicted: Whether a segmenter made the masks.
    """

    reached: Score | None
    chance: float
    predicted: bool = False


def mask_shape(outputs: SavedOutputs, masks: Masks | None, seed: int) -> Score | None:
    """Return the balanced accuracy on the test split of a random forest that sees four numbers of the lung mask.

    Args:
        outputs: Of any network: only truth, split and group are read.
        masks: bool (n, side, side), of the same images; those without a mask do not count.
        seed: Of forest and bootstrap.

    Returns:
        None where there are no masks, or none of some class in train or test.
    """
    if masks is None:
        return None
    known = masks.any(axis=(1, 2)) & np.isin(outputs.split, ("train", "test"))
    train = outputs.split[known] == "train"
    truth = outputs.truth[known]
    if any(len(np.unique(truth[part])) < len(outputs.classes) for part in (train, ~train)):
        return None
    said = forest(np.stack([shape_of(mask) for mask in masks[known]]), truth, train, seed)
    return score(truth[~train], said, draw_weights(truth[~train], outputs.group[known][~train], seed))


def shape_of(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return share of area, height / width of the bounding box, and row and column of the centroid (0 to 1)."""
    rows, columns = np.nonzero(mask)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    side = len(mask)
    return np.array([mask.mean(), height / width, rows.mean() / side, columns.mean() / side])


class _MaskShapeAudit(NetworkAudit[MaskShape]):
    """Can classes be told from the shape of the lung masks, without the picture?"""

    def measure(self, _subject: Subject, data: AuditData) -> MaskShape:
        """Return what a forest reaches on the masks."""
        return MaskShape(mask_shape(data.outputs, data.all_masks, data.seed), data.baseline.chance, data.predicted)

    def judge(self, figures: MaskShape, model: str | None = None) -> AuditRecord:
        """Warn where the shape of the masks tells classes apart."""
        reached, limit = figures.reached, figures.chance + ABOVE_CHANCE
        result, found = Result.NOT_APPLICABLE, "There are no lung masks, or none of some class."
        if reached is not None:
            result = Result.WARN if reached.value > limit else Result.PASS
            found = (
                f"Area, height by width and centroid of {MADE[figures.predicted]} give "
                f"{SHARE.interval(reached.interval)} balanced accuracy without the image; chance is "
                f"{SHARE.number(figures.chance)}."
            )
        return self.record(
            result,
            found,
            f"A warning above {SHARE.number(limit)}: then boxes, not outlines, are to be used.",
            {"balanced_accuracy": reached and reached.interval, "chance": rounded(figures.chance)},
            model,
        )


MASK_SHAPE = _MaskShapeAudit("mask_shape", "Shape of the lung masks", fixable=False, per_network=False)
