"""Patterns without objects: noise, gradients, stripes, checkers, blobs. Each draws uint8 (side, side)."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from cxr.planes import Plane

Field = NDArray[np.float64]
Lots = np.random.Generator


def noise(rng: Lots, side: int) -> Plane:
    """Draw noise of a colour from blue over white to brown."""
    return finished(spectrum(rng, side, rng.uniform(-0.5, 1.2)), rng)


def gradient(rng: Lots, side: int) -> Plane:
    """Draw one to three gradients, straight or round, with a little noise."""
    rows, columns = grid(side)
    total = np.zeros((side, side))
    for _ in range(rng.integers(1, 4)):
        angle, (y, x) = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 1.3, 2)
        straight = np.cos(angle) * columns + np.sin(angle) * rows
        total += (straight if rng.random() < 0.5 else np.hypot(rows - y, columns - x)) * rng.normal()
    return finished(total + rng.normal(0, rng.uniform(0, 0.1), total.shape), rng)


def stripes(rng: Lots, side: int) -> Plane:
    """Draw a grating, sharp or soft, sometimes with a growing frequency or a second direction."""
    rows, columns = grid(side)
    total = np.zeros((side, side))
    for _ in range(rng.integers(1, 3)):
        angle, frequency = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(1.5), np.log(25)))
        along = np.cos(angle) * columns + np.sin(angle) * rows
        wave = np.sin(2 * np.pi * frequency * along * (1 + rng.uniform(-0.5, 0.5) * along) + rng.uniform(0, 6))
        total += np.sign(wave) if rng.random() < 0.5 else wave
    return finished(total + rng.normal(0, rng.uniform(0, 0.3), total.shape), rng)


def checker(rng: Lots, side: int) -> Plane:
    """Draw a chessboard, turned by any angle, with one grey or several."""
    rows, columns = grid(side)
    angle, cells = rng.uniform(0, np.pi / 2) * rng.integers(0, 2), rng.integers(2, 17)
    across = np.floor(cells * (np.cos(angle) * columns + np.sin(angle) * rows) + rng.random()).astype(int)
    down = np.floor(cells * (np.cos(angle) * rows - np.sin(angle) * columns) + rng.random()).astype(int)
    greys = rng.random((64, 64)) if rng.random() < 0.4 else np.indices((64, 64)).sum(axis=0) % 2
    return finished(greys[down % 64, across % 64] + rng.normal(0, rng.uniform(0, 0.2), rows.shape), rng)


def blobs(rng: Lots, side: int) -> Plane:
    """Draw soft spots, or a smooth field cut at a level, as cells under a microscope."""
    if rng.random() < 0.5:
        smooth = blurred(rng.normal(size=(side, side)), rng.uniform(1, 8))
        level = np.quantile(smooth, rng.uniform(0.3, 0.8))
        return finished((smooth > level) + rng.uniform(0, 0.5) * spectrum(rng, side, 0.5), rng)
    rows, columns = grid(side)
    total = np.zeros((side, side))
    for _ in range(rng.integers(3, 60)):
        (y, x), width = rng.random(2), rng.uniform(0.01, 0.12)
        total += rng.normal(0.5, 1) * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2))
    return finished(total, rng)


def grid(side: int) -> tuple[Field, Field]:
    """Return rows and columns of the pixels' middles, 0 to 1, each (side, side)."""
    rows, columns = (np.indices((side, side)) + 0.5) / side
    return rows, columns


def spectrum(rng: Lots, side: int, power: float) -> Field:
    """Return noise of mean zero and deviation one whose amplitude falls as frequency to `power`; 1: like scenes."""
    frequencies = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequencies[0, 0] = 1.0
    amplitudes = frequencies**-power
    amplitudes[0, 0] = 0.0
    noisy = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(side, side))) * amplitudes, (side, side))
    return np.asarray(noisy / noisy.std())


def blurred(field: Field, radius: float) -> Field:
    """Return a field, not of one value alone, from 0 to 1, blurred by a Gaussian of `radius` pixels."""
    low, high = field.min(), field.max()
    # Pillow filters 8-bit pictures alone.
    image = Image.fromarray(np.rint((field - low) * (255 / (high - low))).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float64) / 255


def finished(field: Field, rng: Lots) -> Plane:
    """Bring a field of any range to a random part of 0..255, at least a third of it."""
    low, high = np.quantile(field, [0.005, 0.995])
    unit = np.clip((field - low) / max(high - low, 1e-9), 0, 1)
    spread = rng.uniform(0.33, 1.0)
    start = rng.uniform(0, 1 - spread)
    return np.asarray(np.rint(255 * (start + spread * unit)), np.uint8)
