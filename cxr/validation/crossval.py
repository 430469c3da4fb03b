"""Cross-validation: out-of-fold predictions pooled, and figures over folds, seeds and patients."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr.core.errors import DataError, ModelError
from cxr.core.image import Plane
from cxr.core.manifest import data_fingerprint
from cxr.dataset.duplicates import leakage_groups
from cxr.evaluation.stats.calibration import fit_temperature
from cxr.evaluation.stats.classification import Predictions
from cxr.evaluation.stats.intervals import (
    Floats,
    Labels,
    percentile,
    resample,
    rounded,
    weighted_balanced_accuracy,
    weighted_macro_auc,
    weighted_mean,
)
from cxr.inference.model_folder import ScreeningModel
from cxr.inference.network import softmax
from cxr.inference.outputs import run_network

PROBABILITY = "probability_"  # and the class
COLUMNS = ("network", "seed", "fold", "file", "patient", "duplicate_group", "label")
DIGITS = 9  # of a probability in the table


def predict_fold(model: ScreeningModel, table: pd.DataFrame, images: Plane, seed: int, fold: int) -> pd.DataFrame:
    """Run an exported network over the test split of one fold.

    Probabilities are calibrated as `evaluate` does it: one temperature, fitted on the fold's own validation split.

    Args:
        model: Trained on the fold's train split.
        table: The fold's split table.
        images: uint8 (n, side, side), all of them.
        seed: That the fold was made and trained with.
        fold: Its number, from 0.

    Returns:
        One row a test image: COLUMNS, and `probability_<class>` in the order of the network's outputs.

    Raises:
        DataError: A split has no rows.
        ModelError: The network was trained on another split, or for planes of another side.
    """
    if model.description["data"]["sha256"] != data_fingerprint(table):
        raise ModelError(
            f"{model.folder} was trained on another split than that of fold {fold} with seed {seed}; "
            "start again, and let nothing else change data or params meanwhile"
        )
    asked = table[table["split"] != "train"]
    outputs = run_network(model, asked, images)
    validation, test = outputs.of("validation"), outputs.of("test")
    probabilities = softmax(test.logits / fit_temperature(validation.logits, validation.truth))
    rows = asked.loc[asked["split"] == "test", ["file", "patient", "duplicate_group", "label"]].reset_index(drop=True)
    rows = rows.assign(network=str(model.description["name"]), seed=seed, fold=fold)[list(COLUMNS)]
    return rows.assign(
        **{f"{PROBABILITY}{label}": probabilities[:, i].round(DIGITS) for i, label in enumerate(model.classes)}
    )


Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """One network's answers of one seed.

    Attributes:
        answers: For m images.
        image: int64 (m,), which images of `Pooled` these are.
        fold: int64 (m,), the fold in whose test split each stands.
    """

    answers: Predictions
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
        table: Rows of `cxr.validation.crossval.predict_fold`, of every network, seed and fold.
    """
    images = table.drop_duplicates("file")
    group = pd.Series(leakage_groups(images), index=images["file"])
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
        answers = Predictions(classes, truth[image], probabilities, group[image])
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


RECALL = "recall "  # and the class
BETWEEN = " less "  # of a difference's name


@dataclass(frozen=True, slots=True)
class FoldFigure:
    """One figure with its three uncertainties, six decimals; None where it is not defined.

    Attributes:
        mean: Of `out_of_fold` over the seeds.
        spread_over_seeds: Standard deviation of `out_of_fold`; None with one seed.
        spread_over_folds: That within a seed, root of the mean square over seeds.
        low: Lower bound of the mean's 95 % interval.
        high: Upper bound.
        out_of_fold: A number a seed, of all its folds together.
        by_fold: A number a fold, for each seed.
    """

    mean: float | None
    spread_over_seeds: float | None
    spread_over_folds: float | None
    low: float | None
    high: float | None
    out_of_fold: tuple[float | None, ...]
    by_fold: tuple[tuple[float | None, ...], ...]


FoldFigures = Mapping[str, FoldFigure]


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """Networks over folds and seeds.

    Attributes:
        classes: In the order of the probabilities.
        folds: Of each seed.
        seeds: Ascending.
        images: That any seed has.
        groups: Of images that belong together.
        networks: By name, the figures balanced_accuracy, log_loss, macro_auc and `recall <class>`.
        differences: The same of every pair, by `a less b`.
    """

    classes: tuple[str, ...]
    folds: int
    seeds: tuple[int, ...]
    images: int
    groups: int
    networks: Mapping[str, FoldFigures]
    differences: Mapping[str, FoldFigures]


def measure_folds(pooled: Pooled, seed: int = 0) -> CrossValidation:
    """Measure every network, and every pair of networks on the same folds.

    Args:
        pooled: From `cxr.validation.crossval.pool`.
        seed: Of the bootstrap.
    """
    singles = [*pooled.networks]
    pairs = [f"{a}{BETWEEN}{b}" for a, b in combinations(singles, 2)]

    def drawn(weights: Floats) -> dict[str, Floats]:
        found = {name: _mean_over_seeds(pooled.networks[name], weights) for name in singles}
        found |= {pair: _difference(pair, found) for pair in pairs}
        return {f"{name}\t{figure}": values for name, by in found.items() for figure, values in by.items()}

    draws = resample(drawn, pooled.truth, pooled.group, seed)
    by_fold = {name: _by_fold(pooled.networks[name], pooled.folds) for name in singles}
    whole = {name: _of_each_seed(pooled.networks[name]) for name in singles}
    for pair in pairs:
        by_fold[pair], whole[pair] = _difference(pair, by_fold), _difference(pair, whole)

    def figures_of(name: str) -> FoldFigures:
        return {
            figure: summary(by_fold[name][figure], whole[name][figure], draws[f"{name}\t{figure}"][1])
            for figure in whole[name]
        }

    return CrossValidation(
        classes=pooled.classes,
        folds=pooled.folds,
        seeds=tuple(next(iter(pooled.networks.values()))),
        images=len(pooled.truth),
        groups=len(np.unique(pooled.group)),
        networks={name: figures_of(name) for name in singles},
        differences={pair: figures_of(pair) for pair in pairs},
    )


def summary(by_fold: Floats, out_of_fold: Floats, draws: Floats) -> FoldFigure:
    """Return one figure with its three uncertainties.

    Args:
        by_fold: float64 (seeds, folds).
        out_of_fold: float64 (seeds,).
        draws: float64 (draws,), of the mean over seeds.
    """
    value = float(out_of_fold.mean())
    bounds = percentile(value, draws)
    return FoldFigure(
        mean=rounded(value),
        spread_over_seeds=rounded(float(out_of_fold.std(ddof=1))) if len(out_of_fold) > 1 else None,
        spread_over_folds=rounded(float(np.sqrt(by_fold.var(axis=1, ddof=1).mean()))),
        low=bounds.low,
        high=bounds.high,
        out_of_fold=tuple(map(rounded, out_of_fold)),
        by_fold=tuple(tuple(map(rounded, row)) for row in by_fold),
    )


def _mean_over_seeds(by_seed: dict[int, OutOfFold], weights: Floats) -> dict[str, Floats]:
    seeds = [_figures(one.answers, weights[:, one.image]) for one in by_seed.values()]
    return {figure: np.mean([found[figure] for found in seeds], axis=0) for figure in seeds[0]}


def _of_each_seed(by_seed: dict[int, OutOfFold]) -> dict[str, Floats]:
    seeds = [_figures(one.answers, np.ones((1, len(one.answers)))) for one in by_seed.values()]
    return {figure: np.concatenate([found[figure] for found in seeds]) for figure in seeds[0]}


def _by_fold(by_seed: dict[int, OutOfFold], folds: int) -> dict[str, Floats]:
    """Return float64 (seeds, folds) for each figure: a fold is a weighting by nought and one."""
    numbers = np.arange(folds)[:, None]
    seeds = [_figures(one.answers, (one.fold == numbers).astype(np.float64)) for one in by_seed.values()]
    return {figure: np.stack([found[figure] for found in seeds]) for figure in seeds[0]}


def _figures(answers: Predictions, weights: Floats) -> dict[str, Floats]:
    right, truth = answers.right, answers.truth
    recalls = {
        f"{RECALL}{label}": weighted_mean(right[truth == number], weights[:, truth == number])
        for number, label in enumerate(answers.classes)
    }
    return {
        "balanced_accuracy": weighted_balanced_accuracy(truth, right, weights),
        "log_loss": weighted_mean(answers.losses, weights),
        "macro_auc": weighted_macro_auc(truth, answers.probabilities, weights),
        **recalls,
    }


def _difference(pair: str, values: dict[str, dict[str, NDArray[np.float64]]]) -> dict[str, Floats]:
    first, second = (values[name] for name in pair.split(BETWEEN))
    return {figure: first[figure] - second[figure] for figure in first}
