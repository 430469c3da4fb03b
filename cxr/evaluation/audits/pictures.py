"""Small pictures for the report: the film as the network saw it, and the same under its class activation map."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr.cam import OPACITY, RAMP
from cxr.planes import Plane, to_plane

SIDE = 160  # pixels
GREYS, HEATS = 32, 8  # their product is a palette of 256 colours, a third of the bytes of full colour


def thumbnail(plane: Plane) -> bytes:
    """Return uint8 (side, side) as grey PNG bytes, 160 pixels a side; equal planes give equal bytes."""
    return _png(Image.fromarray(to_plane(plane, SIDE)))


def overlay(plane: Plane, cam: NDArray[np.float32]) -> bytes:
    """Return the plane in grey with the map in colour over it, as PNG bytes; where the map is 0 the film is untouched.

    Args:
        plane: uint8 (side, side).
        cam: float32 (h, w), 0 or larger; its largest value is drawn as the ramp's end.
    """
    largest = float(cam.max())
    shares = np.asarray(cam / largest if largest > 0 else cam, np.float32)
    heat = np.asarray(Image.fromarray(shares).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    grey = to_plane(plane, SIDE) // (256 // GREYS)
    image = Image.fromarray((grey * HEATS + np.rint(heat * (HEATS - 1))).astype(np.uint8))
    image.putpalette(_palette().tobytes())
    return _png(image)


def _palette() -> NDArray[np.uint8]:
    """Return uint8 (GREYS * HEATS, 3), heat changing fastest."""
    heat = np.linspace(0, 1, HEATS)
    colours = np.stack([np.interp(heat, np.linspace(0, 1, len(RAMP)), channel) for channel in RAMP.T], axis=1)
    weight = (OPACITY * heat)[:, None]
    grey = (np.arange(GREYS) + 0.5) * (256 / GREYS)
    mixed = (1 - weight) * grey[:, None, None] + weight * colours
    return np.asarray(np.rint(mixed), np.uint8).reshape(-1, 3)


def _png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
