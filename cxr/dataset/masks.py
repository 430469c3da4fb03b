"""The lung masks that a release may have beside its images."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from cxr.dataset.release import MASK_FOLDER, Release
from cxr.errors import DataError, ImageError
from cxr.images import read_plane
from cxr.planes import Plane

MASKS_FILE = "masks.npy"
MASKS_TABLE = "masks.csv"
IMAGE_FOLDER = "images"
LUNG = 128  # grey level from which a resized mask counts as lung


def find_masks(release: Release, files: Sequence[str]) -> pd.DataFrame:
    """Find each image's mask: in the folder `masks` where the image is in `images` or in the class folder itself.

    Args:
        release: For its root and its number of masks.
        files: POSIX paths of images relative to the root.

    Returns:
        One row an image with `file` and `mask`, the mask's POSIX path relative to the root or an empty string.
    """
    masks = [_mask_of(release.root, PurePosixPath(file)) if release.masks else "" for file in files]
    return pd.DataFrame({"file": list(files), "mask": masks})


def read_masks(root: Path, masks: Sequence[str], side: int) -> Plane:
    """Read masks as planes.

    Args:
        root: Of the release.
        masks: As in the column `mask` of `find_masks`.
        side: Pixels.

    Returns:
        uint8 (n, side, side), 255 in the lungs, 0 elsewhere and everywhere for an image without mask; of shape
        (0, side, side) when no image has one.

    Raises:
        DataError: A mask cannot be read.
    """
    if not any(masks):
        return np.zeros((0, side, side), np.uint8)
    planes = np.zeros((len(masks), side, side), np.uint8)
    rows = [row for row, mask in enumerate(masks) if mask]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for row, plane in zip(rows, pool.map(lambda row: _read(root, masks[row], side), rows), strict=True):
            planes[row] = plane
    return planes


def _mask_of(root: Path, file: PurePosixPath) -> str:
    parts = list(file.parts)
    if len(parts) > 2 and parts[1].lower() == IMAGE_FOLDER:
        parts[1] = MASK_FOLDER
    else:
        parts.insert(1, MASK_FOLDER)
    same = PurePosixPath(*parts)
    tried = (same, same.with_suffix(".png"))  # masks are PNG even where the images are not
    return next((path.as_posix() for path in tried if (root / path).is_file()), "")


def _read(root: Path, mask: str, side: int) -> Plane:
    try:
        plane, _ = read_plane(root / mask, side)
    except ImageError as error:
        raise DataError(f"The mask {mask} cannot be read ({error}); repair or remove it") from error
    return np.where(plane >= LUNG, np.uint8(255), np.uint8(0))
