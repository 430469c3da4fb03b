"""The table that the stages hand on: one row an image, and the array that its column `index` points into."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cxr.errors import DataError
from cxr.files import whole_file
from cxr.planes import Plane

if TYPE_CHECKING:
    import pandas as pd

IMAGES_FILE = "images.npy"
MANIFEST_FILE = "manifest.csv"

# index            row of images.npy
# file             POSIX path relative to data/
# label            class in snake case
# source           as the release's sheet says; empty where unknown
# patient          as patients.csv says; empty where unknown
# duplicate_group  smallest index among the images that show the same picture; its own where there is none
# pixels_sha256    of the decoded luminance, before resizing
# colour           see `cxr.images.ImageFacts`; six decimals
COLUMNS = [
    "index", "file", "label", "source", "patient", "duplicate_group", "pixels_sha256",
    "width", "height", "mode", "bit_depth", "format", "steps", "synthetic", "colour",
]  # fmt: skip
SPLITS = ("train", "validation", "test")


def read_table(path: Path) -> "pd.DataFrame":
    """Read a manifest, balanced or split table; empty cells of text columns are empty strings.

    Raises:
        DataError: The file is absent or lacks a column.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, keep_default_na=False, dtype={"patient": str, "source": str, "steps": str})
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); run the stage that writes it: dvc repro") from error
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise DataError(f"{path} lacks the columns {missing}; it was not written by this version: dvc repro")
    return table


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a table as CSV, whole or not at all."""
    with whole_file(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def read_images(path: Path) -> Plane:
    """Open the array of planes, uint8 (n, side, side), read-only and without loading it into memory.

    Raises:
        DataError: The file is absent or is no such array.
    """
    try:
        images: Plane = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not an array of planes ({error}); run: dvc repro prepare") from error
    if images.dtype != np.uint8 or images.ndim != 3:
        raise DataError(f"{path} holds {images.dtype} {images.shape}; expected uint8 (n, side, side)")
    return images


def write_images(path: Path, images: Plane) -> None:
    """Write the array of planes, whole or not at all."""
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, images)
