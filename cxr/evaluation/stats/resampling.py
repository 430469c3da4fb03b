"""The bootstrap that resamples patients and duplicates, not images (Davison and Hinkley 1997), as weights.

A figure of a resampled set is the weighted figure of the set itself, so that all draws are one matrix product.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from cxr.evaluation.metrics import Labels

Floats = NDArray[np.float64]

DRAWS = 2000
CELLS = 4_000_000  # of a block of weights, 32 MB: memory does not grow with the number of images


def draw_weights(truth: Labels, group: NDArray[np.int64], seed: int, draws: int = DRAWS) -> Floats:
    """Draw whole groups with replacement, class by class.

    Args:
        truth: int64 (n,), class numbers. A group counts with the class of its first image.
        group: int64 (n,), equal for images that belong together.
        seed: Of the draws.
        draws: How many.

    Returns:
        float64 (draws, n), how often each image was drawn.
    """
    return next(_blocks(truth, group, seed, draws, draws))


def resample(
    figures: Callable[[Floats], Mapping[str, Floats]], truth: Labels, group: NDArray[np.int64], seed: int
) -> dict[str, tuple[float, Floats]]:
    """Return each figure's value with its bootstrap draws, for any number of images.

    Args:
        figures: From weights (draws, n) to named figures (draws,).
        truth: As for `draw_weights`.
        group: As for `draw_weights`.
        seed: As for `draw_weights`.
    """
    size = max(1, min(DRAWS, CELLS // len(truth)))
    parts = [figures(weights) for weights in _blocks(truth, group, seed, DRAWS, size)]
    drawn = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    values = figures(np.ones((1, len(truth))))
    return {name: (float(values[name][0]), drawn[name]) for name in drawn}


def _blocks(truth: Labels, group: NDArray[np.int64], seed: int, draws: int, size: int) -> Iterator[Floats]:
    generator = np.random.default_rng(seed)
    _, first, member = np.unique(group, return_index=True, return_inverse=True)
    classes = truth[first]
    strata = [np.flatnonzero(classes == number) for number in np.unique(classes)]
    for start in range(0, draws, size):
        counts = np.zeros((min(size, draws - start), len(first)))
        for stratum in strata:
            counts[:, stratum] = _counts(generator, len(counts), len(stratum))
        yield np.asarray(counts[:, member])


def _counts(generator: np.random.Generator, draws: int, groups: int) -> NDArray[np.int64]:
    picks = generator.integers(groups, size=(draws, groups))
    picks += np.arange(draws)[:, None] * groups  # each draw has its own range of numbers, so one count serves all
    return np.asarray(np.bincount(picks.ravel(), minlength=picks.size).reshape(picks.shape))
