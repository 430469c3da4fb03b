"""Pictures without layout, without detail or without shading: what is left for a network to answer from."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cxr.evaluation.audits.perturbations import to_bytes
from cxr.planes import Plane

MIDDLE = 128  # grey that stands for no deviation


def shuffle_patches(planes: Plane, grid: int, seed: int) -> Plane:
    """Cut each plane into grid x grid patches and put them in another order.

    Texture stays, layout goes (Geirhos 2019). A plane's order follows from seed and position. Where the side is no
    multiple of `grid`, the rest at the right and lower edge stays in its place.

    Args:
        planes: uint8 (n, side, side).
        grid: Patches along a side, at most side.
        seed: Of the orders.
    """
    size = planes.shape[1] // grid
    shuffled = planes.copy()
    for number, plane in enumerate(planes):
        order = np.random.default_rng((seed, grid, number)).permutation(grid * grid)
        square = plane[: grid * size, : grid * size].reshape(grid, size, grid, size)
        patches = square.swapaxes(1, 2).reshape(grid * grid, size, size)[order]
        square = patches.reshape(grid, grid, size, size).swapaxes(1, 2)
        shuffled[number, : grid * size, : grid * size] = square.reshape(grid * size, grid * size)
    return shuffled


def low_pass(planes: Plane, cut: float) -> Plane:
    """Keep what varies slowly: a Gaussian whose gain is exp(-1/2) = 0.61 at `cut` cycles a side."""
    return np.stack([to_bytes(_smooth(plane, cut)) for plane in planes])


def high_pass(planes: Plane, cut: float) -> Plane:
    """Keep what `low_pass` takes away, around middle grey."""
    return np.stack([to_bytes(plane - _smooth(plane, cut) + MIDDLE) for plane in planes])


def _smooth(plane: Plane, cut: float) -> NDArray[np.float32]:
    deviation = plane.shape[0] / (2 * np.pi * cut)
    return np.asarray(gaussian_filter(plane.astype(np.float32), deviation, mode="nearest"))
