"""Children and adults of the class `normal`, as far as the pixels tell them apart."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from cxr.core.manifest import file_numbers
from cxr.dataset.appearance import Features
from cxr.dataset.audits.sources import ChangePoint, auc_of, cross_validated, is_measurable
from cxr.evaluation.audits.shortcut_baseline import TREES
from cxr.inference.gate import Texts
from cxr.inference.outputs import SavedOutputs

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
