"""Figures of a cross-validation, with three uncertainties that are never added up.

spread over seeds  another division into folds, another balanced sample, other initial weights
spread over folds  within a seed: other training images and other, fewer, test images
interval           other patients like these, the trained networks being what they are (bootstrap of groups)
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from cxr.evaluation.folds.pooling import OutOfFold, Pooled
from cxr.evaluation.stats.answers import Answers
from cxr.evaluation.stats.intervals import percentile, rounded
from cxr.evaluation.stats.resampling import Floats, resample
from cxr.evaluation.stats.weighted import balanced_accuracy, macro_auc, mean
from cxr.files import JsonObject

RECALL = "recall "  # and the class
BETWEEN = " less "  # of a difference's name


def measure_folds(pooled: Pooled, seed: int = 0) -> JsonObject:
    """Measure every network, and every pair of networks on the same folds.

    Args:
        pooled: From `cxr.evaluation.folds.pooling.pool`.
        seed: Of the bootstrap.

    Returns:
        classes, folds, seeds, images, groups; `networks` by name and `differences` by `a less b`, each with the
        figures balanced_accuracy, log_loss, macro_auc and `recall <class>`. A figure has `by_fold` (a list a seed),
        `out_of_fold` (a number a seed), `mean` of these over the seeds, `spread_over_seeds` (standard deviation;
        null with one seed), `spread_over_folds` (the same within a seed, root of the mean square over seeds), and
        `low` and `high` of the mean's 95 % interval. Six decimals; null where a figure is not defined.
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

    def summaries(names: Sequence[str]) -> JsonObject:
        return {
            name: {
                figure: summary(by_fold[name][figure], whole[name][figure], draws[f"{name}\t{figure}"][1])
                for figure in whole[name]
            }
            for name in names
        }

    return {
        "classes": list(pooled.classes),
        "folds": pooled.folds,
        "seeds": list(next(iter(pooled.networks.values()))),
        "images": len(pooled.truth),
        "groups": len(np.unique(pooled.group)),
        "networks": summaries(singles),
        "differences": summaries(pairs),
    }


def summary(by_fold: Floats, out_of_fold: Floats, draws: Floats) -> JsonObject:
    """Return one figure with its three uncertainties; see `measure_folds`.

    Args:
        by_fold: float64 (seeds, folds).
        out_of_fold: float64 (seeds,).
        draws: float64 (draws,), of the mean over seeds.
    """
    value = float(out_of_fold.mean())
    bounds = percentile(value, draws)
    return {
        "mean": rounded(value),
        "spread_over_seeds": rounded(float(out_of_fold.std(ddof=1))) if len(out_of_fold) > 1 else None,
        "spread_over_folds": rounded(float(np.sqrt(by_fold.var(axis=1, ddof=1).mean()))),
        "low": bounds["low"],
        "high": bounds["high"],
        "out_of_fold": [rounded(one) for one in out_of_fold],
        "by_fold": [[rounded(one) for one in row] for row in by_fold],
    }


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


def _figures(answers: Answers, weights: Floats) -> dict[str, Floats]:
    right, truth = answers.right, answers.truth
    recalls = {
        f"{RECALL}{label}": mean(right[truth == number], weights[:, truth == number])
        for number, label in enumerate(answers.classes)
    }
    return {
        "balanced_accuracy": balanced_accuracy(truth, right, weights),
        "log_loss": mean(answers.losses, weights),
        "macro_auc": macro_auc(truth, answers.probabilities, weights),
        **recalls,
    }


def _difference(pair: str, values: dict[str, dict[str, NDArray[np.float64]]]) -> dict[str, Floats]:
    first, second = (values[name] for name in pair.split(BETWEEN))
    return {figure: first[figure] - second[figure] for figure in first}
