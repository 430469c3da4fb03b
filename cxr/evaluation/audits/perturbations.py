"""Small changes that should not change an answer: pure functions from uint8 (n, side, side) to the same."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, rotate

from cxr.planes import Plane, to_plane

WHITE = 255


def jpeg(planes: Plane, quality: int) -> Plane:
    """Compress and decompress each plane as greyscale JPEG."""
    return _each(planes, lambda plane: _through_jpeg(plane, quality))


def brightness(planes: Plane, factor: float) -> Plane:
    """Multiply grey levels by `factor`, clipped at white."""
    return _each(planes, lambda plane: to_bytes(plane * np.float32(factor)))


def contrast(planes: Plane, factor: float) -> Plane:
    """Multiply each plane's distance from its own mean grey by `factor`, clipped at black and white."""
    return _each(planes, lambda plane: to_bytes(plane.mean() + factor * (plane - plane.mean())))


def noise(planes: Plane, deviation: float, seed: int) -> Plane:
    """Add Gaussian noise of this standard deviation in grey levels; a plane's noise follows from seed and position."""
    return np.stack(
        [
            to_bytes(plane + np.random.default_rng((seed, number)).normal(0, deviation, plane.shape))
            for number, plane in enumerate(planes)
        ]
    )


def blur(planes: Plane, deviation: float) -> Plane:
    """Convolve each plane with a Gaussian of this standard deviation in pixels."""
    return _each(planes, lambda plane: to_bytes(gaussian_filter(plane.astype(np.float32), deviation, mode="nearest")))


def turn(planes: Plane, degrees: float) -> Plane:
    """Rotate about the centre, counter-clockwise, bilinear; what comes in from outside repeats the edge."""
    return _each(
        planes,
        # A black corner would be a mark of its own.
        lambda plane: to_bytes(rotate(plane.astype(np.float32), degrees, reshape=False, order=1, mode="nearest")),
    )


def crop(planes: Plane, share: float) -> Plane:
    """Cut this share of the side from every edge and bring the rest back to the old side."""
    side = planes.shape[1]
    edge = round(share * side)
    return _each(
        planes, lambda plane: to_plane(np.ascontiguousarray(plane[edge : side - edge, edge : side - edge]), side)
    )


def invert(planes: Plane) -> Plane:
    """Make black white and white black."""
    return np.asarray(WHITE - planes, np.uint8)


def mirror(planes: Plane) -> Plane:
    """Swap left and right."""
    return np.ascontiguousarray(planes[:, :, ::-1])


def to_bytes(grey: NDArray[np.floating]) -> Plane:
    """Round to whole grey levels, clipped to 0..255."""
    return np.asarray(np.clip(np.rint(grey), 0, WHITE), np.uint8)


def _each(planes: Plane, change: Callable[[Plane], Plane]) -> Plane:
    return np.stack([change(plane) for plane in planes])


def _through_jpeg(plane: Plane, quality: int) -> Plane:
    buffer = BytesIO()
    Image.fromarray(plane).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))
