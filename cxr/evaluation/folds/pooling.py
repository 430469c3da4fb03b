"""The answers of all folds together: every image once for a network and a seed, by a network that never saw it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr.dataset.grouping import leak_groups
from cxr.errors import DataError
from cxr.evaluation.folds.asking import PROBABILITY
from cxr.evaluation.metrics import Labels
from cxr.evaluation.stats.answers import Answers

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """One network's answers of one seed.

    Attributes:
        answers: For m images.
        image: int64 (m,), which images of `Pooled` these are.
        fold: int64 (m,), the fold in whose test split each stands.
    """

    answers: Answers
    image: Numbers
    fold: Numbers


@dataclass(frozen=True, slots=True)
class Pooled:
    """All answers.

    Attributes:
        classes: In the order of the probabilities.
        folds: How many folds each seed has.
        truth: int64 (n,), class of each image that any seed has.
        group: int64 (n,), equal for images of one patient or one picture, whatever the seed.
        networks: For each network its answers by seed, in ascending order of the seeds.
    """

    classes: tuple[str, ...]
    folds: int
    truth: Labels
    group: Numbers
    networks: dict[str, dict[int, OutOfFold]]


def with_groups(table: pd.DataFrame) -> pd.DataFrame:
    """Put `group`, a number, in place of `patient` and `duplicate_group`.

    The groups of a split table are numbered anew for each seed, and seeds may have chosen other images. Here they
    are made once, of all images, from patient and duplicate group, which `prepare` wrote and no seed changes.

    Args:
        table: Rows of `cxr.evaluation.folds.asking.ask`, of every network, seed and fold.
    """
    images = table.drop_duplicates("file")
    group = pd.Series(leak_groups(images), index=images["file"])
    grouped = table.assign(group=group[table["file"]].to_numpy())
    probabilities = [name for name in table.columns if name.startswith(PROBABILITY)]
    return grouped[["network", "seed", "fold", "file", "group", "label", *probabilities]]


def pool(table: pd.DataFrame) -> Pooled:
    """Put the answers of all folds together.

    Args:
        table: From `with_groups`: network, seed, fold, file, group, label, and a probability for each class.

    Raises:
        DataError: A seed lacks a fold, has an image in two folds, or networks were asked about other folds.
    """
    classes = tuple(name.removeprefix(PROBABILITY) for name in table.columns if name.startswith(PROBABILITY))
    images = table.drop_duplicates("file").sort_values("file")
    truth, group = (values.to_numpy(np.int64) for values in (images["label"].map(classes.index), images["group"]))
    number = pd.Series(np.arange(len(images)), index=images["file"])
    folds = int(table["fold"].max()) + 1
    networks: dict[str, dict[int, OutOfFold]] = {str(name): {} for name in table["network"].unique()}
    for name, seed in sorted(set(zip(table["network"], table["seed"].astype(int), strict=True))):
        rows = table[(table["network"] == name) & (table["seed"] == seed)]
        _require_each_image_once(name, seed, rows, folds)
        image = number[rows["file"]].to_numpy(np.int64)
        probabilities = rows[[f"{PROBABILITY}{label}" for label in classes]].to_numpy(np.float64)
        answers = Answers(classes, truth[image], probabilities, group[image])
        networks[name][seed] = OutOfFold(answers, image, rows["fold"].to_numpy(np.int64))
    pooled = Pooled(classes, folds, truth, group, networks)
    _require_the_same_folds(pooled)
    return pooled


def _require_each_image_once(name: str, seed: int, rows: pd.DataFrame, folds: int) -> None:
    lacking = sorted(set(range(folds)) - set(rows["fold"]))
    if lacking:
        expected = f"expected folds 0 to {folds - 1}"
        raise DataError(f"{name} with seed {seed} has no answers for fold {lacking[0]}; {expected}")
    twice = rows.loc[rows["file"].duplicated(), "file"]
    if len(twice):
        raise DataError(
            f"{name} with seed {seed} was asked about {twice.iloc[0]} in two folds, so one of the networks may have "
            "seen it; the folds are not those of one division"
        )


def _require_the_same_folds(pooled: Pooled) -> None:
    first, *others = pooled.networks
    for name in others:
        one, other = pooled.networks[first], pooled.networks[name]
        if list(one) != list(other) or any(_fold_of(one[seed]) != _fold_of(other[seed]) for seed in one):
            raise DataError(f"{first} and {name} were not asked about the same folds; compare them in one call")


def _fold_of(asked: OutOfFold) -> dict[int, int]:
    return dict(zip(asked.image.tolist(), asked.fold.tolist(), strict=True))
