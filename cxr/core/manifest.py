"""The table that the stages hand on, one row an image; the array that `index` points into; the data's fingerprint."""

import hashlib
import mmap
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import DataError
from cxr.core.files import JsonObject, read_json, reason_of, whole_file
from cxr.core.image import Plane, PlaneRule
from cxr.core.records import from_json

if TYPE_CHECKING:
    import pandas as pd


def data_fingerprint(table: "pd.DataFrame") -> str:
    """Return the SHA-256 over file, label, pixels and, where there is one, split of every row, in file order."""
    columns = [column for column in ("file", "label", "pixels_sha256", "split") if column in table.columns]
    rows = sorted("\t".join(map(str, row)) + "\n" for row in table[columns].itertuples(index=False))
    return hashlib.sha256("".join(rows).encode()).hexdigest()


def data_summary(table: "pd.DataFrame") -> JsonObject:
    """Return what a model's description says of the data it was made from."""
    counts = {"images_per_split": _counts(table["split"])} if "split" in table.columns else {}
    return {
        "images": len(table),
        "synthetic_images": int(table["synthetic"].sum()),
        "sha256": data_fingerprint(table),
        "images_per_class": _counts(table["label"]),
    } | counts


def _counts(values: "pd.Series[str]") -> dict[str, int]:
    return {str(name): int(count) for name, count in values.value_counts().sort_index().items()}


def file_numbers(files: "pd.Series[str]") -> NDArray[np.int64]:
    """Return int64 (n,): the last number in each file's name, -1 where there is none."""
    found = [re.findall(r"\d+", PurePosixPath(file).stem) for file in files]
    return np.array([int(numbers[-1]) if numbers else -1 for numbers in found], np.int64)


IMAGES_FILE = "images.npy"
MASKS_FILE = "masks.npy"  # rows as in images.npy, 255 in the lungs; of no rows where the release has no lung masks
RULE_FILE = "planes.json"  # the rule by which the planes were made
LARGER_FOLDER = "larger"  # an array of its own for each network; of no planes where those of images.npy do
MANIFEST_FILE = "manifest.csv"

# index            row of images.npy
# file             POSIX path relative to data/
# label            class in snake case
# source           as the release's sheet says; empty where unknown
# patient          as patients.csv says; empty where unknown
# duplicate_group  smallest index among the images that show the same picture; its own where there is none
# pixels_sha256    of the decoded luminance, before resizing
# colour           see `cxr.core.image.ImageFacts`; six decimals
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
        raise DataError(f"{path} is not an array of planes ({reason_of(error)}); run: dvc repro prepare") from error
    if images.dtype != np.uint8 or images.ndim != 3:
        raise DataError(f"{path} holds {images.dtype} {images.shape}; expected uint8 (n, side, side)")
    return images


def network_planes(prepared: Path, name: str, side: int) -> Plane:
    """Open the planes that the network `name` takes: those of all, or larger ones of its own.

    Args:
        prepared: Folder written by prepare.
        name: As in params.yaml.
        side: The network's own.

    Raises:
        DataError: As `read_images`.
    """
    images, own = read_images(prepared / IMAGES_FILE), _larger(prepared, name)
    if side <= images.shape[1] or not own.is_file():
        return images
    larger = read_images(own)
    return larger if len(larger) else images


def planes_of_side(prepared: Path, side: int) -> Plane:
    """Open the planes of a side.

    Raises:
        DataError: As `read_images`, or there are none of that side.
    """
    kept = [read_images(path) for path in (prepared / IMAGES_FILE, *sorted((prepared / LARGER_FOLDER).glob("*.npy")))]
    found = [planes for planes in kept if planes.shape[1] == side]
    if not found:
        sides = sorted({planes.shape[1] for planes in kept})
        raise DataError(
            f"{prepared} has planes of {' and '.join(map(str, sides))} pixels, and a network takes {side}; "
            f"run: dvc repro"
        )
    return found[0]


def read_plane_rule(prepared: Path) -> PlaneRule:
    """Return the rule by which the planes were made. Raises DataError where prepare did not write it."""
    try:
        return from_json(PlaneRule, read_json(prepared / RULE_FILE))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{prepared / RULE_FILE} cannot be read ({reason_of(error)}); run: dvc repro prepare"
        ) from error


def write_planes(prepared: Path, planes: Mapping[int, Plane], sides: Mapping[str, int]) -> None:
    """Write the planes where `network_planes` and `planes_of_side` find them.

    Args:
        prepared: Folder to write into.
        planes: By side, uint8 (n, side, side); the first are those of all networks that take no larger ones.
        sides: By network, see `cxr.core.params.plane_sides`; the array of its own may have no planes.
    """
    small, images = next(iter(planes.items()))
    write_images(prepared / IMAGES_FILE, images)
    for name, side in sides.items():
        write_images(_larger(prepared, name), planes[side][: None if side > small else 0])


def _larger(prepared: Path, name: str) -> Path:
    return prepared / LARGER_FOLDER / f"{name}.npy"


def write_images(path: Path, images: Plane) -> None:
    """Write the array of planes, whole or not at all."""
    with whole_file(path) as temporary, temporary.open("w+b") as file:
        # Not "wb": into such a file NumPy writes by itself, and loses what the system says when it refuses.
        np.save(file, images)
    _let_go(images)


def _let_go(images: Plane) -> None:
    """Take what was read of an array on the disk out of memory; the next look reads it again."""
    base: object = images
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
