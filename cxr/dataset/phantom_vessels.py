"""Branching lines of a phantom: the pulmonary vessels, and the streaks that follow them in interstitial disease."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cxr.dataset.phantom_geometry import CANVAS, PIXELS_PER_UNIT

Field = NDArray[np.float64]
HILA = ((-0.17, -0.03), (0.18, -0.07))  # right and left hilum; the left one stands a little higher
_STEP = 0.012
_CALIBRES = (2.2, 1.4, 0.8)  # blur in pixels of trunk, branch and twig


def draw_vessels(rng: Generator, trunks: int = 9) -> Field:
    """Draw trees of vessels that leave both hila in all directions and thin out towards the periphery.

    Args:
        rng: Source of the trees.
        trunks: Vessels that leave each hilum.

    Returns:
        float64 (CANVAS, CANVAS), 0 or more, about 1 on a trunk.
    """
    points: list[list[tuple[float, float]]] = [[] for _ in _CALIBRES]
    for x, y in HILA:
        outwards = 0.0 if x > 0 else np.pi
        for direction in np.linspace(-1.35, 1.35, trunks):
            angle = outwards + np.sign(x) * direction + rng.normal(0, 0.12)
            _grow(rng, points, x, y, angle, 0)
    return sum((_stamp(line, blur) for line, blur in zip(points, _CALIBRES, strict=True)), np.zeros((CANVAS, CANVAS)))


def _grow(
    rng: Generator, points: list[list[tuple[float, float]]], x: float, y: float, angle: float, level: int
) -> None:
    for step in range(int(rng.integers(14, 24))):
        angle += rng.normal(0, 0.10)
        x, y = x + _STEP * np.cos(angle), y + _STEP * np.sin(angle)
        points[level].append((x, y))
        if level < len(_CALIBRES) - 1 and step % 7 == 6:
            _grow(rng, points, x, y, angle + rng.choice((-1, 1)) * rng.uniform(0.3, 0.8), level + 1)


def _stamp(points: list[tuple[float, float]], blur: float) -> Field:
    canvas = np.zeros((CANVAS, CANVAS))
    columns, rows = (np.asarray(points).T * PIXELS_PER_UNIT + (CANVAS - 1) / 2).round().astype(int).clip(0, CANVAS - 1)
    canvas[rows, columns] = 1
    # A line of unit pixels blurred by s has height 1 / (s sqrt(2 pi)) and pixels stand _STEP apart.
    height = blur * np.sqrt(2 * np.pi) * _STEP * PIXELS_PER_UNIT * (blur / _CALIBRES[0]) ** 0.5
    blurred: Field = gaussian_filter(canvas, blur) * height
    return blurred
