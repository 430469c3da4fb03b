"""Structural similarity of two maps (Wang 2004)."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

WINDOW, TRUNCATE = 1.5, 3.5  # standard deviation in pixels; 11 x 11 pixels, as published
C1, C2 = 0.01**2, 0.03**2  # of a range of 1


def similarity(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the mean structural similarity of two maps with values from 0 to 1; 1 for equal maps.

    Args:
        first: (h, w).
        second: (h, w).
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    mean_a, mean_b = _blurred(a), _blurred(b)
    variance_a, variance_b = _blurred(a * a) - mean_a**2, _blurred(b * b) - mean_b**2
    covariance = _blurred(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    structure = (2 * covariance + C2) / (variance_a + variance_b + C2)
    return float(np.mean(luminance * structure))


def _blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(gaussian_filter(values, WINDOW, truncate=TRUNCATE))
