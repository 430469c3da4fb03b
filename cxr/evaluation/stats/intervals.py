"""Numbers of a report: six decimals, null where undefined, 95 % intervals by resampling groups; and as text."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float64]

DIGITS = 6

LEVEL = 0.95
_TAIL = 100 * (1 - LEVEL) / 2


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval, six decimals.

    Attributes:
        value: The figure; None where it is not defined.
        low: Lower bound; None where nothing shows the spread, then `high` is None as well.
        high: Upper bound.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


UNDEFINED = Interval(None)


def significant(value: float | None) -> float | None:
    """Return a p value with six significant digits: six decimals would make a small one nought."""
    return None if value is None else float(f"{value:.6g}")


def rounded(value: float | None) -> float | None:
    """Return six decimals; None for what is not a finite number."""
    return round(float(value), DIGITS) if value is not None and np.isfinite(value) else None


def rounded_all(values: NDArray[Any]) -> tuple[float, ...]:
    """Return finite numbers with six decimals."""
    return tuple(round(float(value), DIGITS) for value in values)


def ratio(part: float, whole: float) -> float | None:
    """Return part / whole; None where whole is 0."""
    return float(part) / float(whole) if whole else None


def interval(value: float | None, low: float | None, high: float | None) -> Interval:
    """Return a figure with its interval, rounded."""
    return Interval(rounded(value), rounded(low), rounded(high))


def wilson(count: int, n: int) -> Interval:
    """Return the share `count` of `n` with its Wilson (1927) score interval; all three null where `n` is 0."""
    if not n:
        return UNDEFINED
    bounds = binomtest(int(count), int(n)).proportion_ci(LEVEL, method="wilson")
    return interval(count / n, bounds.low, bounds.high)


def percentile(value: float | None, draws: NDArray[np.float64]) -> Interval:
    """Return a figure with the percentile interval of its bootstrap draws.

    Draws that are NaN are left out. The bounds are null where the draws do not vary: a set without one error shows
    nothing of the spread.
    """
    known = draws[np.isfinite(draws)]
    if rounded(value) is None or not len(known) or known.min() == known.max():
        return interval(value, None, None)
    low, high = np.percentile(known, [_TAIL, 100 - _TAIL])
    return interval(value, low, high)


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


def weighted_mean(values: NDArray[np.float64] | NDArray[np.bool_], weights: Floats) -> Floats:
    """Return weighted means, float64 (draws,), of `values` (n,) under weights (draws, n); NaN where none has weight."""
    total = weights.sum(axis=1)
    return _share(weights @ values.astype(np.float64), total)


def weighted_balanced_accuracy(truth: Labels, right: NDArray[np.bool_], weights: Floats) -> Floats:
    """Return mean sensitivities, float64 (draws,), over the classes that occur in `truth`."""
    recalls = [weighted_mean(right[truth == number], weights[:, truth == number]) for number in np.unique(truth)]
    return np.asarray(np.mean(recalls, axis=0))


def weighted_auc(positive: NDArray[np.bool_], scores: Floats, weights: Floats) -> Floats:
    """Return areas under the ROC curve, float64 (draws,); NaN where one side has no weight.

    The weighted share of pairs in the right order, ties counted half (Mann and Whitney 1947).

    Args:
        positive: bool (n,).
        scores: float64 (n,), larger for positive.
        weights: float64 (draws, n).
    """
    order = np.flatnonzero(~positive)[np.argsort(scores[~positive], kind="stable")]
    below = np.zeros((len(weights), len(order) + 1))
    np.cumsum(weights[:, order], axis=1, out=below[:, 1:])
    left, right = (np.searchsorted(scores[order], scores[positive], side=side) for side in ("left", "right"))
    ordered = (weights[:, positive] * (below[:, left] + below[:, right])).sum(axis=1) / 2
    pairs = weights[:, positive].sum(axis=1) * below[:, -1]
    return _share(ordered, pairs)


def weighted_macro_auc(truth: Labels, probabilities: Probabilities, weights: Floats) -> Floats:
    """Return unweighted means of the one-vs-rest areas, float64 (draws,); NaN where a class does not occur."""
    columns = range(probabilities.shape[1])
    areas = [weighted_auc(truth == number, probabilities[:, number], weights) for number in columns]
    return np.asarray(np.mean(areas, axis=0))


def _share(part: Floats, whole: Floats) -> Floats:
    return np.asarray(np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0))


@dataclass(frozen=True, slots=True)
class Score:
    """A balanced accuracy with its bootstrap draws; the difference of two is paired if the weights were the same.

    Attributes:
        value: 0 to 1.
        draws: float64 (draws,).
    """

    value: float
    draws: NDArray[np.float64]

    def __sub__(self, other: "Score") -> "Score":
        return Score(self.value - other.value, self.draws - other.draws)

    @property
    def interval(self) -> Interval:
        """Value with its 95 % percentile interval."""
        return percentile(self.value, self.draws)


def score(truth: Labels, predicted: Labels, weights: NDArray[np.float64]) -> Score:
    """Return the balanced accuracy of answers int64 (n,) with draws by `weights` (draws, n), see `draw_weights`."""
    return Score(balanced_accuracy(truth, predicted), weighted_balanced_accuracy(truth, predicted == truth, weights))


def balanced_accuracy(truth: Labels, predicted: Labels) -> float:
    """Return the mean recall over the classes that occur in `truth`, both int64 (n,)."""
    return float(weighted_balanced_accuracy(truth, predicted == truth, np.ones((1, len(truth))))[0])


NOT_DEFINED = "-"


@dataclass(frozen=True, slots=True)
class Notation:
    """How a kind of figure is written.

    Attributes:
        digits: Behind the decimal point.
        scale: What a figure is multiplied by: 100 for a percentage.
        signed: Whether a plus stands before what is not negative.
        unit: Behind a figure, with its space; bounds in brackets go without.
        undefined: What stands for a figure without a value.
    """

    digits: int = 3
    scale: int = 1
    signed: bool = False
    unit: str = ""
    undefined: str = NOT_DEFINED

    def number(self, value: float | None) -> str:
        """Return `94.7 %`."""
        return self.undefined if value is None else f"{self._bare(value)}{self.unit}"

    def interval(self, figure: Interval | None) -> str:
        """Return `94.7 % [92.8, 96.3]`; without bounds where nothing shows the spread."""
        if figure is None or figure.low is None or figure.high is None:
            return self.number(figure.value if figure else None)
        return f"{self.number(figure.value)} [{self._bare(figure.low)}, {self._bare(figure.high)}]"

    def bounds(self, figure: Interval) -> str:
        """Return `92.8 % to 96.3 %`; `undefined` where nothing shows the spread."""
        if figure.low is None or figure.high is None:
            return self.undefined
        return f"{self.number(figure.low)} to {self.number(figure.high)}"

    def _bare(self, value: float) -> str:
        return f"{self.scale * value:{'+' if self.signed else ''}.{self.digits}f}"


NUMBER = Notation()
HUNDREDTHS = Notation(2)
FINE_NUMBER = Notation(4)
CHANGE = Notation(signed=True)
FINE_CHANGE = Notation(4, signed=True)
PERCENT = Notation(1, 100, unit=" %")
BARE_PERCENT = Notation(1, 100)  # where the header of the table has the sign
SHARE = Notation(1, 100, unit=" %", undefined="unknown")  # in a sentence
POINTS = Notation(1, 100, unit=" points", undefined="unknown")  # the same of a difference of two shares
SIGNED_POINTS = Notation(1, 100, signed=True)


def above_or_below(difference: Interval, notation: Notation = POINTS) -> str:
    """Return `3.9 points [-0.2, 8.0] below`, the bounds in the direction that the word says."""
    value, low, high = difference.value, difference.low, difference.high
    if value is None or value >= 0:
        return f"{notation.interval(difference)} above"
    turned = Interval(-value, None if high is None else -high, None if low is None else -low)
    return f"{notation.interval(turned)} below"


def p_value(value: float | None) -> str:
    """Return `0.034`, `< 0.001`, or a dash."""
    return "< 0.001" if value is not None and value < 0.001 else NUMBER.number(value)
