"""The canvas on which phantoms are drawn, and the soft shapes they are made of.

Coordinates are in half film widths from the film's middle: x grows to the image's right, y downwards.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Field = NDArray[np.float64]

CANVAS = 360  # pixels; the film shows the middle 299
PIXELS_PER_UNIT = 149.5  # half of the film's 299
_AXIS = (np.arange(CANVAS) - (CANVAS - 1) / 2) / PIXELS_PER_UNIT
X: Field = np.tile(_AXIS, (CANVAS, 1))
Y: Field = X.T.copy()


def soft(distance: Field, blur: float = 0.012) -> Field:
    """Return 0 far outside, 0.5 on the edge and 1 far inside of a border; `distance` is positive inside."""
    scaled: Field = 0.5 * (1 + np.tanh(distance / (2 * blur)))
    return scaled


def ellipse(x: float, y: float, wide: float, high: float, tilt: float = 0.0, blur: float = 0.012) -> Field:
    """Return a filled ellipse, 0..1 (CANVAS, CANVAS).

    Args:
        x: Middle.
        y: Middle.
        wide: Half axis along x before tilting.
        high: Half axis along y before tilting.
        tilt: Radians, clockwise on the image.
        blur: Width of the edge.
    """
    along = (X - x) * np.cos(tilt) + (Y - y) * np.sin(tilt)
    across = (Y - y) * np.cos(tilt) - (X - x) * np.sin(tilt)
    radius = np.hypot(along / wide, across / high)
    return soft((1 - radius) * min(wide, high), blur)


def blob(x: float, y: float, wide: float, high: float) -> Field:
    """Return a Gaussian hump of height 1 with standard deviations `wide` and `high`, (CANVAS, CANVAS)."""
    hump: Field = np.exp(-0.5 * (((X - x) / wide) ** 2 + ((Y - y) / high) ** 2))
    return hump


def texture(rng: Generator, grain: float) -> Field:
    """Return Gaussian noise blurred to `grain` pixels, mean 0 and standard deviation 1, (CANVAS, CANVAS)."""
    noise: Field = gaussian_filter(rng.standard_normal((CANVAS, CANVAS)), grain)
    scaled: Field = (noise - noise.mean()) / noise.std()
    return scaled
