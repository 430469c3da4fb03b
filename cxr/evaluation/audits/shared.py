"""What the audits measure once for all networks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.dataset.appearance import Features, appearance, frame
from cxr.evaluation.audits.age_blocks import MIXED, AgeBlocks, find_age_blocks
from cxr.evaluation.audits.answers import Masks
from cxr.evaluation.audits.floor import Floor, describe_floor, fit_floor
from cxr.evaluation.audits.judging_shortcuts import judge_frame, judge_mask_shape
from cxr.evaluation.audits.mask_shape import mask_shape
from cxr.evaluation.outputs import SavedOutputs
from cxr.evaluation.stats.resampling import draw_weights
from cxr.files import JsonObject
from cxr.planes import Plane


@dataclass(frozen=True, slots=True)
class Shared:
    """Of the n test images, in the order of the split table.

    Attributes:
        planes: uint8 (n, side, side).
        masks: bool (n, side, side); None where the release has no lung masks.
        sides: int64 (n,), longer side of the file in pixels.
        looks: Overall appearance, float64 (n, 22).
        weights: Of the bootstrap, float64 (draws, n).
        floor: Answers of the probes.
        floor_figures: The report's `floor`.
        blocks: Children and adults of the class `normal`; None where there is no change point.
        records: Audits that are about no network.
        seed: Of everything drawn.
    """

    planes: Plane
    masks: Masks | None
    sides: NDArray[np.int64]
    looks: Features
    weights: NDArray[np.float64]
    floor: Floor
    floor_figures: JsonObject
    blocks: AgeBlocks | None
    records: list[JsonObject]
    seed: int


def measure_shared(
    outputs: SavedOutputs,
    images: Plane,
    sides: NDArray[np.int64],
    masks: Masks | None,
    changes: JsonObject,
    seed: int,
) -> Shared:
    """Measure what no network has a part in.

    Args:
        outputs: Of any network, on all m images of the split table; what the network said is not read.
        images: uint8 (images, side, side), see `SavedOutputs.index`.
        sides: int64 (m,), longer side of the file in pixels.
        masks: bool (m, side, side), all False where an image has none; None where the release has no lung masks.
        changes: `change_points` of reports/data.json.
        seed: Of forests, folds, bootstrap and variants.

    Raises:
        DataError: There is no train or no test split.
    """
    test, chosen = outputs.of("test"), outputs.split == "test"
    weights = draw_weights(test.truth, test.group, seed)
    planes = images[outputs.index]
    looks = appearance(planes)
    floor = fit_floor(outputs, looks, frame(planes), seed)
    figures = describe_floor(floor, weights)
    return Shared(
        planes=planes[chosen],
        masks=None if masks is None else masks[chosen],
        sides=sides[chosen],
        looks=looks[chosen],
        weights=weights,
        floor=floor,
        floor_figures=figures,
        blocks=find_age_blocks(outputs, looks, changes.get(MIXED), seed),
        records=[judge_frame(figures), judge_mask_shape(mask_shape(outputs, masks, seed), floor.chance)],
        seed=seed,
    )
