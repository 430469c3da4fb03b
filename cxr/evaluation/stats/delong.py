"""Variance and comparison of areas under the ROC curve (DeLong 1988, by ranks as in Sun and Xu 2014)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from cxr.evaluation.stats.intervals import LEVEL, interval
from cxr.files import JsonObject

Floats = NDArray[np.float64]


class Area(NamedTuple):
    """An area with what each image adds to its variance.

    Attributes:
        value: 0 to 1.
        positive: float64 (m,), for each positive image the share of negative ones below it.
        negative: float64 (k,), for each negative image the share of positive ones above it.
    """

    value: float
    positive: Floats
    negative: Floats

    @property
    def variance(self) -> float:
        """Estimated variance of the area; NaN with fewer than two images of a side."""
        return _variance(self.positive, self.negative)


def delong(positive: NDArray[np.bool_], scores: Floats) -> Area | None:
    """Return the area of `scores`, float64 (n,), against `positive`, bool (n,); None where one side is empty."""
    above, below = scores[positive], scores[~positive]
    if not len(above) or not len(below):
        return None
    ranks = rankdata(np.concatenate([above, below]))
    share_below = (ranks[: len(above)] - rankdata(above)) / len(below)
    share_above = 1 - (ranks[len(above) :] - rankdata(below)) / len(above)
    return Area(float(share_below.mean()), share_below, share_above)


def delong_interval(area: Area | None) -> JsonObject:
    """Return the area with its interval on the logit scale, which stays within 0 and 1.

    The bounds are null where classes are wholly apart or a side has one image: there is no variance to go by.
    """
    if area is None:
        return interval(None, None, None)
    if not 0 < area.value < 1 or not area.variance > 0:
        return interval(area.value, None, None)
    centre = np.log(area.value / (1 - area.value))
    half = norm.ppf((1 + LEVEL) / 2) * np.sqrt(area.variance) / (area.value * (1 - area.value))
    low, high = (1 / (1 + np.exp(-(centre + side * half))) for side in (-1, 1))
    return interval(area.value, low, high)


def delong_p(first: Area | None, second: Area | None) -> float | None:
    """Return the two-sided p of equal areas of two networks on the same images, in the same order."""
    if first is None or second is None:
        return None
    gap = first.value - second.value
    variance = _variance(first.positive - second.positive, first.negative - second.negative)
    if np.isnan(variance):
        return None
    if variance <= 0:
        return 1.0 if gap == 0 else None
    return float(2 * norm.sf(abs(gap) / np.sqrt(variance)))


def _variance(positive: Floats, negative: Floats) -> float:
    if len(positive) < 2 or len(negative) < 2:
        return float("nan")
    return float(positive.var(ddof=1) / len(positive) + negative.var(ddof=1) / len(negative))
