"""The luminance plane: what every network sees of a radiograph."""

import hashlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Plane = NDArray[np.uint8]


def to_plane(luminance: Plane, side: int) -> Plane:
    """Resize to `side` x `side` with an antialiased triangle filter; the aspect ratio is not kept.

    Args:
        luminance: uint8 of shape (height, width), 0 black, 255 white.
        side: Pixels.

    Returns:
        uint8 of shape (side, side).
    """
    if luminance.shape == (side, side):
        return luminance
    resized = Image.fromarray(luminance).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def pixels_digest(luminance: Plane) -> str:
    """Return the SHA-256 of a decoded picture, 64 digits, equal only for equal pixels in equal shape.

    Args:
        luminance: uint8 of shape (height, width), whole or resized.
    """
    digest = hashlib.sha256(repr(luminance.shape).encode())
    digest.update(np.ascontiguousarray(luminance).data)
    return digest.hexdigest()
