"""Numbers of a report: six decimals, null where undefined, and 95 % intervals."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from cxr.evaluation.metrics import DIGITS
from cxr.files import JsonObject

LEVEL = 0.95
_TAIL = 100 * (1 - LEVEL) / 2


def significant(value: float | None) -> float | None:
    """Return a p value with six significant digits: six decimals would make a small one nought."""
    return None if value is None else float(f"{value:.6g}")


def rounded(value: float | None) -> float | None:
    """Return six decimals; None for what is not a finite number."""
    return round(float(value), DIGITS) if value is not None and np.isfinite(value) else None


def rounded_list(values: NDArray[Any]) -> list[float]:
    """Return finite numbers with six decimals."""
    return [round(float(value), DIGITS) for value in values]


def ratio(part: float, whole: float) -> float | None:
    """Return part / whole; None where whole is 0."""
    return float(part) / float(whole) if whole else None


def interval(value: float | None, low: float | None, high: float | None) -> JsonObject:
    """Return a figure with its interval, rounded."""
    return {"value": rounded(value), "low": rounded(low), "high": rounded(high)}


def wilson(count: int, n: int) -> JsonObject:
    """Return the share `count` of `n` with its Wilson (1927) score interval; all three null where `n` is 0."""
    if not n:
        return interval(None, None, None)
    bounds = binomtest(int(count), int(n)).proportion_ci(LEVEL, method="wilson")
    return interval(count / n, bounds.low, bounds.high)


def percentile(value: float | None, draws: NDArray[np.float64]) -> JsonObject:
    """Return a figure with the percentile interval of its bootstrap draws.

    Draws that are NaN are left out. The bounds are null where the draws do not vary: a set without one error shows
    nothing of the spread.
    """
    known = draws[np.isfinite(draws)]
    if rounded(value) is None or not len(known) or known.min() == known.max():
        return interval(value, None, None)
    low, high = np.percentile(known, [_TAIL, 100 - _TAIL])
    return interval(value, low, high)
