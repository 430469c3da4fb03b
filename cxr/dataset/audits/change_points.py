"""Find where a class's files change their look: a release is often two collections, one appended to the other."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from cxr.core.files import Track, untracked
from cxr.core.manifest import file_numbers
from cxr.dataset.audits.probes import Features, Groups, auc_of, cross_validated

LEAST_IMAGES = 60
LEAST_BLOCK = 20  # files on each side of a change
PERMUTATIONS = 199
LARGEST_P = 0.01
LEAST_AUC = 0.9
ROUNDS = 3  # of the refinement; it settles in one or two
SPREADS = 5  # robust standard deviations beyond which a number is cut


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """The file number of a class at which its images change their look most.

    Attributes:
        number: The last of the lower block.
        p: Of the permutation test that order matters at all, above 0.
        auc: With which the two blocks can be told apart, 0 to 1.
        blocks: Their sizes: lower and upper.
        found: Whether p is below 0.01 and the AUC above 0.9.
    """

    number: int
    p: float
    auc: float
    blocks: Mapping[str, int]
    found: bool


def find_change_points(
    table: pd.DataFrame, features: Features, groups: Groups, seed: int, track: Track = untracked
) -> dict[str, ChangePoint]:
    """Look in each class for the file number at which its images change their look most.

    Files are ordered by the number in their name. The cut with the largest Hotelling T2 between the files below and
    above it is proposed (James, James and Siegmund 1992), a permutation test of that maximum says whether order
    matters at all, and the cut is then refined: a step is fitted to the cross-validated scores of a linear
    discriminant between the two blocks.

    Args:
        table: A manifest, n rows.
        features: float64 (n, k), as `cxr.dataset.appearance.appearance_features` returns them.
        groups: int64 (n,), what stays together in the cross-validation.
        seed: Of permutations and folds.
        track: Shows the progress.

    Returns:
        By label, for each class with enough numbered files.
    """
    numbers, labels = file_numbers(table["file"]), table["label"].to_numpy()
    found = {}
    for label in track(sorted(set(labels)), "looking for changes in a class", len(set(labels))):
        rows = np.flatnonzero((labels == label) & (numbers >= 0))
        if len(rows) >= LEAST_IMAGES:
            rows = rows[np.argsort(numbers[rows], kind="stable")]
            found[str(label)] = _change_point(features[rows], groups[rows], numbers[rows], seed)
    return found


def block_of(table: pd.DataFrame, change_points: Mapping[str, ChangePoint]) -> NDArray[np.str_]:
    """Return n of `lower`, `upper` and, where no change was found or a file has no number, an empty string.

    Args:
        table: Rows of a manifest.
        change_points: By label.
    """
    numbers, labels = file_numbers(table["file"]), table["label"].to_numpy()
    blocks = np.full(len(table), "", dtype="<U5")
    for label, change in change_points.items():
        if change.found:
            own = (labels == label) & (numbers >= 0)
            blocks[own] = np.where(numbers[own] <= change.number, "lower", "upper")
    return blocks


def _change_point(features: Features, groups: Groups, numbers: NDArray[np.int64], seed: int) -> ChangePoint:
    rng = np.random.default_rng(seed)
    white = whitened(features)
    cut, observed = strongest_cut(white)
    chance = [strongest_cut(rng.permutation(white))[1] for _ in range(PERMUTATIONS)]
    p = (1 + sum(value >= observed for value in chance)) / (1 + PERMUTATIONS)
    cut, scores = _refined(white, groups, cut, seed)
    auc = auc_of(scores, np.arange(len(scores)) >= cut)
    return ChangePoint(
        number=int(numbers[cut - 1]),
        p=round(float(p), 6),
        auc=round(auc, 6),
        blocks={"lower": int(cut), "upper": int(len(numbers) - cut)},
        found=bool(p < LARGEST_P and auc > LEAST_AUC),
    )


def _refined(white: Features, groups: Groups, cut: int, seed: int) -> tuple[int, Features]:
    """Return the cut that fits its own discriminant's scores best, and those scores."""
    for _ in range(ROUNDS):
        above = np.arange(len(white)) >= cut
        scores = cross_validated(_discriminant(), white, above, groups, seed)[:, 1]
        better, _ = strongest_cut(scores[:, None])
        if better == cut:
            break
        cut = better
    above = np.arange(len(white)) >= cut
    return cut, cross_validated(_discriminant(), white, above, groups, seed)[:, 1]


def _discriminant() -> LinearDiscriminantAnalysis:
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[0.5, 0.5])


def whitened(features: Features) -> Features:
    """Return the columns robustly standardised, cut at `SPREADS`, and uncorrelated with variance 1."""
    low, middle, high = np.percentile(features, [25, 50, 75], axis=0)
    spread = (high - low) / 1.349  # of a normal distribution: its standard deviation
    varies = spread > 0
    scaled = np.clip((features[:, varies] - middle[varies]) / spread[varies], -SPREADS, SPREADS)
    centred = scaled - scaled.mean(axis=0)
    values, vectors = np.linalg.eigh(LedoitWolf(assume_centered=True).fit(centred).covariance_)
    return np.asarray(centred @ (vectors / np.sqrt(values)))


def strongest_cut(white: Features) -> tuple[int, float]:
    """Return how many rows lie below the cut with the largest Hotelling T2, and that T2.

    Args:
        white: float64 (n, k), as `whitened` returns them, rows in the order to be cut.
    """
    count = len(white)
    below = np.arange(LEAST_BLOCK, count - LEAST_BLOCK + 1)
    sums = np.cumsum(white - white.mean(axis=0), axis=0)[below - 1]
    t2 = (sums**2).sum(axis=1) * count / (below * (count - below))
    best = int(t2.argmax())
    return int(below[best]), float(t2[best])
