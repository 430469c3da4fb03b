"""What every picture that the gate learns to reject is drawn with: noise, light, grey levels."""

import numpy as np
from numpy.typing import NDArray

from cxr.core.image import Plane

Field = NDArray[np.float64]
Lots = np.random.Generator


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


def finished(field: Field, rng: Lots) -> Plane:
    """Bring a field of any range to a random part of 0..255, at least a third of it."""
    low, high = np.quantile(field, [0.005, 0.995])
    unit = np.clip((field - low) / max(high - low, 1e-9), 0, 1)
    spread = rng.uniform(0.33, 1.0)
    start = rng.uniform(0, 1 - spread)
    return np.asarray(np.rint(255 * (start + spread * unit)), np.uint8)


def light(rng: Lots, side: int) -> Field:
    """Return light from one side, about -1 to 1."""
    rows, columns = grid(side)
    angle = rng.uniform(0, 2 * np.pi)
    return np.asarray(np.cos(angle) * (rows - 0.5) + np.sin(angle) * (columns - 0.5)) * 2
