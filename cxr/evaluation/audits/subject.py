"""What an audit of networks is, and what it may look at: the data that all share, and one network with its answers.

The data come with shortcut baselines that a network must rise above (overall grey, the border, the source alone), and
with children and adults of the class `normal`, as far as the pixels tell them apart.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from cxr.core.image import Masks, Plane
from cxr.core.manifest import file_numbers
from cxr.core.records import Audit, AuditRecord
from cxr.dataset.appearance import Features, appearance_features, border_features
from cxr.dataset.audits.sources import ChangePoint, auc_of, cross_validated, is_measurable
from cxr.evaluation.stats.intervals import DIGITS, Interval, Labels, balanced_accuracy, draw_weights, rounded, score
from cxr.inference.gate import Texts
from cxr.inference.model_folder import ScreeningModel
from cxr.inference.outputs import SavedOutputs

TREES = 100


def forest(features: NDArray[np.float64], truth: Labels, train: NDArray[np.bool_], seed: int) -> Labels:
    """Fit a random forest of 100 trees on the rows that `train` marks and return its answers on the others.

    Args:
        features: float64 (n, d).
        truth: int64 (n,), class numbers.
        train: bool (n,).
        seed: Of the trees.

    Returns:
        int64 (rows not in train,).
    """
    trees = RandomForestClassifier(TREES, random_state=seed, n_jobs=1)
    trees.fit(features[train], truth[train])
    return np.asarray(trees.predict(features[~train]), np.int64)


def majority_by_source(source: NDArray[np.str_], truth: Labels, train: NDArray[np.bool_]) -> Labels:
    """Answer with the commonest training class of the image's source, never having seen the image.

    Equally common classes: the first. A source that no training image has gets the commonest class of all.

    Args:
        source: str (n,).
        truth: int64 (n,), class numbers.
        train: bool (n,).

    Returns:
        int64 (rows not in train,).
    """
    of_all = np.bincount(truth[train]).argmax()
    commonest = {
        name: np.bincount(truth[train & (source == name)]).argmax() for name in np.unique(source[train]).tolist()
    }
    return np.array([commonest.get(name, of_all) for name in source[~train].tolist()], np.int64)


@dataclass(frozen=True, slots=True)
class ShortcutBaseline:
    """What the baselines answer on the test split, fitted on the train split; int64 (n,) each.

    Attributes:
        truth: Class numbers.
        appearance: Of a random forest on the 22 numbers of overall appearance.
        border: Of the same on the 80 numbers of the border.
        source: Of the commonest class of the image's source; None where no source is known.
    """

    truth: Labels
    appearance: Labels
    border: Labels
    source: Labels | None

    @property
    def chance(self) -> float:
        """Balanced accuracy of guessing."""
        return 1 / len(np.unique(self.truth))


def fit_shortcut_baseline(outputs: SavedOutputs, looks: Features, borders: Features, seed: int) -> ShortcutBaseline:
    """Fit the baselines on the train split and answer the test split.

    Args:
        outputs: Of any network: only truth, split and source are read.
        looks: float64 (n, 22), see `cxr.dataset.appearance.appearance_features`.
        borders: float64 (n, 80), see `cxr.dataset.appearance.border_features`.
        seed: Of the forests.

    Raises:
        DataError: There is no train or no test split.
    """
    train, test = outputs.of("train"), outputs.of("test")
    used = np.isin(outputs.split, ("train", "test"))
    fitted, truth, source = outputs.split[used] == "train", outputs.truth[used], outputs.source[used]
    return ShortcutBaseline(
        truth=test.truth,
        appearance=forest(looks[used], truth, fitted, seed),
        border=forest(borders[used], truth, fitted, seed),
        source=majority_by_source(source, truth, fitted) if (train.source != "").any() else None,
    )


@dataclass(frozen=True, slots=True)
class BaselineFigures:
    """How well the shortcut baselines do on the test split.

    Attributes:
        appearance: Balanced accuracy from overall grey, 0 to 1.
        border: Balanced accuracy from the border.
        source: Accuracy from the source alone; None where no source is known.
        source_balanced_accuracy: Balanced accuracy of the same.
        chance: Balanced accuracy of guessing.
    """

    appearance: Interval = field(metadata={"key": "floor"})
    border: Interval = field(metadata={"key": "frame"})
    source: float | None = field(metadata={"key": "oracle"})
    source_balanced_accuracy: float | None = field(metadata={"key": "oracle_balanced_accuracy"})
    chance: float


def describe_baseline(baseline: ShortcutBaseline, weights: NDArray[np.float64]) -> BaselineFigures:
    """Return how well the baselines do; `weights` are those of the bootstrap, float64 (draws, n)."""
    truth, source = baseline.truth, baseline.source
    return BaselineFigures(
        appearance=score(truth, baseline.appearance, weights).interval,
        border=score(truth, baseline.border, weights).interval,
        source=None if source is None else rounded(float(np.mean(source == truth))),
        source_balanced_accuracy=None if source is None else rounded(balanced_accuracy(truth, source)),
        chance=round(baseline.chance, DIGITS),
    )


MIXED, PAEDIATRIC = "normal", "viral_pneumonia"  # the class of two ages, and the one it is compared with
PAEDIATRIC_SOURCES = ("chest-xray-pneumonia", "kermany")  # Kermany 2018: children aged one to five

Member = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class AgeBlocks:
    """The two blocks of the class `normal`.

    Attributes:
        number: Last file number of the lower block.
        names: Of the lower and the upper block: children and adults, or lower and upper where ages are unknown.
        areas: How well each is told from viral pneumonia by its overall appearance, 0.5 to 1; None where not measured.
    """

    number: int
    names: tuple[str, str]
    areas: tuple[float, float] | None

    def members(self, files: Texts) -> tuple[Member, Member]:
        """Tell which files, str (n,), are of the lower and which of the upper block; those without number of none."""
        numbers = file_numbers(pd.Series(files.tolist(), dtype=str))
        return (numbers >= 0) & (numbers <= self.number), numbers > self.number


def find_age_blocks(outputs: SavedOutputs, looks: Features, change: ChangePoint | None, seed: int) -> AgeBlocks | None:
    """Name the blocks before and after the change point of the class `normal`.

    Where viral pneumonia comes from the paediatric collection, the block that 22 numbers of overall appearance tell
    less well from it is called children.

    Args:
        outputs: Of any network: only truth, files, group and source are read.
        looks: float64 (n, 22), see `cxr.dataset.appearance.appearance_features`.
        change: The class's change point; None without one.
        seed: Of folds and forests.

    Returns:
        None without a change point, without one of the two classes, or with too few images to cross-validate.
    """
    if change is None or not change.found or not {MIXED, PAEDIATRIC} <= set(outputs.classes):
        return None
    unnamed = AgeBlocks(change.number, ("lower", "upper"), None)
    normal, children = (outputs.truth == outputs.classes.index(label) for label in (MIXED, PAEDIATRIC))
    lower, upper = (_area(outputs, looks, normal & member, children, seed) for member in unnamed.members(outputs.files))
    if lower is None or upper is None:
        return None
    if not _paediatric(outputs.source[children]):
        return unnamed
    return AgeBlocks(
        unnamed.number, ("children", "adults") if lower < upper else ("adults", "children"), (lower, upper)
    )


def _paediatric(sources: Texts) -> bool:
    return float(np.mean([is_paediatric(source) for source in sources.tolist()])) > 0.5


def is_paediatric(source: str) -> bool:
    """Tell whether a collection, by its name or address, is known to hold films of children only."""
    return any(mark in source.lower() for mark in PAEDIATRIC_SOURCES)


def _area(outputs: SavedOutputs, looks: Features, block: Member, children: Member, seed: int) -> float | None:
    rows = block | children
    label, group = children[rows], outputs.group[rows]
    if not is_measurable(label.astype(str), group):
        return None
    forest = RandomForestClassifier(TREES, random_state=seed, n_jobs=1)
    return round(auc_of(cross_validated(forest, looks[rows], label, group, seed)[:, 1], label), 6)


PlanesOf = Callable[[int], Plane]
ByVariant = Mapping[str, Labels]  # class numbers (n,) by the name of what was done to the pictures
FULL = "full"  # of what nothing was done to


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
        refits: Answers of the same architecture trained again without each source, see `subgroups.refitted`;
            None where only its head can be fitted again.
        answers: Its answers to the altered test images, see `perturbations.predict_variants`.
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


Figures = TypeVar("Figures")


@dataclass(frozen=True)
class NetworkAudit(Audit, ABC, Generic[Figures]):
    """An audit of networks, which measures and judges.

    Attributes:
        per_network: Whether it is asked of each network; otherwise once, of the data.
    """

    per_network: bool = True

    @abstractmethod
    def measure(self, subject: Subject, data: AuditData) -> Figures:
        """Return the figures, a record of the audit's own."""

    @abstractmethod
    def judge(self, figures: Figures, model: str | None) -> AuditRecord:
        """Return what the figures mean; `model` names the network, None where it is asked of the data."""
