"""Whether the outline of the lungs alone gives the class away: segmenting is then no cure (Teixeira 2021)."""

import numpy as np
from numpy.typing import NDArray

from cxr.evaluation.audits.answers import Masks, Score, score
from cxr.evaluation.audits.probes import forest
from cxr.evaluation.outputs import SavedOutputs
from cxr.evaluation.stats.resampling import draw_weights


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
