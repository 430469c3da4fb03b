"""The luminance plane: what every network sees of a radiograph; and what is known of the file it came from."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SYNTHETIC_KEY = "Synthetic"  # PNG text chunk that `cxr-data sample` puts into every phantom it draws


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What was found in a file and what was done to it.

    Attributes:
        width: Columns as stored, before any rotation, in pixels.
        height: Rows as stored, in pixels.
        mode: Pillow's mode as stored, or DICOM's PhotometricInterpretation.
        bit_depth: Bits a sample really uses: 1, 8, 10, 12, 14 or 16.
        format: `PNG`, `JPEG`, `TIFF`, `BMP`, `DICOM`, ...
        steps: Decisions taken, in order, e.g. `exif_rotated`, `alpha_over_black`, `inverted`.
        synthetic: Whether the file says that it is a drawn phantom.
        colour: Mean over pixels of the largest of red, green and blue less the smallest, 0 to 1; 0 for grey samples.
        lateral: Whether a DICOM header says that the picture was taken from the side.
    """

    width: int
    height: int
    mode: str
    bit_depth: int
    format: str
    steps: tuple[str, ...] = ()
    synthetic: bool = False
    colour: float = 0.0
    lateral: bool = False


Plane = NDArray[np.uint8]
Masks = NDArray[np.bool_]  # (n, side, side), True in the lungs; no True at all where an image has no mask


@dataclass(frozen=True, slots=True)
class PlaneRule:
    """The rule by which files become planes, see `cxr.imaging.decode`.

    Attributes:
        rule: Its name.
        fingerprint: SHA-256 of the planes that it makes of a few drawn pictures.
    """

    rule: str
    fingerprint: str


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
