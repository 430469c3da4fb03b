"""The perceptual hash: 256 bits that stay nearly the same when a picture is stored or exposed otherwise."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dct

from cxr.core.image import Plane

SIDE = 16  # of the low frequencies: at 8, a 2 % crop is as far away as an unrelated radiograph
BITS = SIDE * SIDE
REDUCED = 64  # pixels of a side that the cosine transform is taken of


def perceptual_hashes(planes: Plane) -> NDArray[np.bool_]:
    """Return bool (n, 2, 256): the hash of each plane, and that of its mirror image (Zauner 2010).

    Bit for bit that of `imagehash.phash(image, hash_size=16)`, which takes one picture at a time.

    Args:
        planes: uint8 (n, side, side).
    """
    reduced = np.zeros((len(planes), REDUCED, REDUCED), np.float64)
    for row, plane in enumerate(planes):
        reduced[row] = np.asarray(Image.fromarray(plane).resize((REDUCED, REDUCED), Image.Resampling.LANCZOS))
    # The filter is symmetric: the mirror image of the reduced picture is the mirrored picture, reduced.
    return np.stack([_hashes(reduced), _hashes(np.ascontiguousarray(reduced[:, :, ::-1]))], axis=1)


def _hashes(reduced: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell for each of the lowest frequencies whether it is above their median."""
    low = dct(dct(reduced, axis=1)[:, :SIDE], axis=2)[:, :, :SIDE].reshape(len(reduced), BITS)
    above: NDArray[np.bool_] = low > np.median(low, axis=1, keepdims=True)
    return above
