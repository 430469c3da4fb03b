"""What an audit of networks may look at: the data that all share, and one network with its answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr.core.image import Masks, Plane
from cxr.dataset.appearance import Features, appearance_features, border_features
from cxr.dataset.audits.sources import ChangePoint
from cxr.evaluation.audits.age_blocks import MIXED, AgeBlocks, find_age_blocks
from cxr.evaluation.audits.shortcut_baseline import (
    BaselineFigures,
    ShortcutBaseline,
    describe_baseline,
    fit_shortcut_baseline,
)
from cxr.evaluation.audits.variants import FULL, ByVariant
from cxr.evaluation.stats.intervals import Labels, draw_weights
from cxr.inference.model_folder import ScreeningModel
from cxr.inference.outputs import SavedOutputs

PlanesOf = Callable[[int], Plane]


@dataclass(frozen=True, slots=True)
class AuditData:
    """What no network has a part in. Of m images in all, n are of the test split, in the order of the split table.

    Attributes:
        outputs: Of any network, on all m images; what the network said is not read.
        target: The class whose sources are held out.
        planes_of: Opens the planes of all images by side, uint8 (images, side, side), see `SavedOutputs.index`.
        masks: bool (n, side, side), on small planes; None where there are no lung masks.
        all_masks: bool (m, side, side), all False where an image has none; None as above.
        predicted: Whether a segmenter made the masks; else they are the release's.
        sides: int64 (n,), longer side of the file in pixels.
        looks: Overall appearance, float64 (n, 22).
        weights: Of the bootstrap, float64 (draws, n).
        baseline: Answers of the shortcut baselines.
        baseline_figures: How well they do.
        blocks: Children and adults of the class `normal`; None where there is no change point.
        seed: Of everything drawn.
    """

    outputs: SavedOutputs
    target: str
    planes_of: PlanesOf
    masks: Masks | None
    all_masks: Masks | None
    predicted: bool
    sides: NDArray[np.int64]
    looks: Features
    weights: NDArray[np.float64]
    baseline: ShortcutBaseline
    baseline_figures: BaselineFigures
    blocks: AgeBlocks | None
    seed: int

    def pictures(self, side: int) -> tuple[Plane, Masks | None]:
        """Return planes and masks of the test split for a network that takes planes of `side` pixels.

        uint8 and bool (n, side, side); masks are enlarged by repeating their cells.
        """
        planes = np.ascontiguousarray(self.planes_of(side)[self.outputs.of("test").index])
        if self.masks is None or self.masks.shape[1] == side:
            return planes, self.masks
        cells = np.arange(side) * self.masks.shape[1] // side
        return planes, self.masks[:, cells][:, :, cells]


def measure_data(
    outputs: SavedOutputs,
    planes_of: PlanesOf,
    side: int,
    sides: NDArray[np.int64],
    masks: Masks | None,
    changes: Mapping[str, ChangePoint],
    seed: int,
    target: str,
    *,
    predicted: bool = False,
) -> AuditData:
    """Measure what no network has a part in.

    Args:
        outputs: Of any network, on all m images of the split table; what the network said is not read.
        planes_of: Opens the planes of all images by side, uint8 (images, side, side), see `SavedOutputs.index`.
        side: Of the small planes, on which the appearance is measured.
        sides: int64 (m,), longer side of the file in pixels.
        masks: bool (m, side, side), all False where an image has none; None where there are no lung masks.
        changes: Change points by class.
        seed: Of forests, folds, bootstrap and variants.
        target: The class whose sources are held out.
        predicted: Whether a segmenter made the masks.

    Raises:
        DataError: There is no train or no test split.
    """
    test, chosen = outputs.of("test"), outputs.split == "test"
    weights = draw_weights(test.truth, test.group, seed)
    planes = planes_of(side)[outputs.index]
    looks = appearance_features(planes)
    baseline = fit_shortcut_baseline(outputs, looks, border_features(planes), seed)
    return AuditData(
        outputs=outputs,
        target=target,
        planes_of=planes_of,
        masks=None if masks is None else masks[chosen],
        all_masks=masks,
        predicted=predicted,
        sides=sides[chosen],
        looks=looks[chosen],
        weights=weights,
        baseline=baseline,
        baseline_figures=describe_baseline(baseline, weights),
        blocks=find_age_blocks(outputs, looks, changes.get(MIXED), seed),
        seed=seed,
    )


@dataclass(frozen=True)
class Subject:
    """A network to audit.

    Attributes:
        model: Loaded from its folder.
        outputs: What it said of all images of the split table.
        screening: Whether it was chosen for screening.
        refits: Answers of the same architecture trained again without each source, see `leave_source_out.refitted`;
            None where only its head can be fitted again.
        answers: Its answers to the altered test images, see `variants.predict_variants`.
    """

    model: ScreeningModel
    outputs: SavedOutputs
    screening: bool
    refits: pd.DataFrame | None = None
    answers: ByVariant = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The network's name."""
        return self.outputs.name

    @cached_property
    def test(self) -> SavedOutputs:
        """Its outputs on the test split."""
        return self.outputs.of("test")

    @property
    def predicted(self) -> Labels:
        """Class numbers of its answers to the test images, int64 (n,)."""
        return self.answers[FULL]
