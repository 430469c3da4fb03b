"""Can classes be told from the shape of the lung masks, without the picture?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.core.image import Masks
from cxr.core.records import Audit, AuditRecord, Result
from cxr.evaluation.audits.frame_probe import ABOVE_CHANCE
from cxr.evaluation.audits.shortcut_baseline import forest
from cxr.evaluation.audits.subject import AuditData, Subject
from cxr.evaluation.reporting.format import SHARE
from cxr.evaluation.stats.intervals import Score, draw_weights, rounded, score
from cxr.inference.outputs import SavedOutputs

AUDIT = Audit("mask_shape", "Shape of the lung masks", fixable=False)
PER_NETWORK = False

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


def measure(_subject: Subject, data: AuditData) -> MaskShape:
    """Return what a forest reaches on the masks."""
    return MaskShape(mask_shape(data.outputs, data.all_masks, data.seed), data.baseline.chance, data.predicted)


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


def judge(figures: MaskShape, model: str | None = None) -> AuditRecord:
    """Warn where the shape of the masks tells classes apart."""
    reached, limit = figures.reached, figures.chance + ABOVE_CHANCE
    result, found = Result.NOT_APPLICABLE, "There are no lung masks, or none of some class."
    if reached is not None:
        result = Result.WARN if reached.value > limit else Result.PASS
        found = (
            f"Area, height by width and centroid of {MADE[figures.predicted]} give {SHARE.interval(reached.interval)} "
            f"balanced accuracy without the image; chance is {SHARE.number(figures.chance)}."
        )
    return AUDIT.record(
        result,
        found,
        f"A warning above {SHARE.number(limit)}: then boxes, not outlines, are to be used.",
        {"balanced_accuracy": reached and reached.interval, "chance": rounded(figures.chance)},
        model,
    )
