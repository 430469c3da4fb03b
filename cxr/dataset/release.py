"""What lies in a release: class folders with images, masks to leave aside, metadata sheets, sources and patients."""

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr.core.errors import DataError, ImageError
from cxr.core.image import Plane
from cxr.imaging.decode import read_plane
from cxr.imaging.formats import SUFFIXES

Masks = NDArray[np.bool_]  # (n, side, side), True in the lungs; no True at all where an image has no mask

MASK_FOLDER = "masks"
PATIENTS_FILE = "patients.csv"
METADATA_SUFFIX = ".metadata.xlsx"


@dataclass(frozen=True, slots=True)
class Release:
    """A folder of class folders.

    Attributes:
        root: The folder.
        images: Per label, its image files relative to `root`, sorted by POSIX path; masks left out.
        masks: Number of mask files.
        others: Files of a class folder that are neither image nor mask, relative to `root`, sorted.
    """

    root: Path
    images: dict[str, list[Path]]
    masks: int
    others: list[Path]


def label_of(folder: str) -> str:
    """Return the snake-case label of a class folder: `Viral Pneumonia` is `viral_pneumonia`."""
    return re.sub(r"[^a-z0-9]+", "_", folder.lower()).strip("_")


def is_image(path: Path) -> bool:
    """Tell whether the name ends like an image's, in any case; the content may still disagree."""
    return path.suffix.lower() in SUFFIXES


def is_mask(relative: Path) -> bool:
    """Tell whether a file lies in a folder of lung masks."""
    return any(part.lower() == MASK_FOLDER for part in relative.parts[:-1])


def read_release(root: Path) -> Release:
    """List a release whose class folders lie directly in `root`; hidden files and folders are left aside.

    Raises:
        DataError: `root` is no folder, or two of its folders have the same label.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; fetch the images with: dvc pull data")
    images: dict[str, list[Path]] = {}
    masks, others = 0, []
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        label = label_of(folder.name)
        if label in images:
            raise DataError(f"{root} has two folders for the class '{label}', one is {folder.name}; merge or rename")
        images[label] = []
        for relative in _files_below(folder, root):
            if is_mask(relative):
                masks += 1
            elif is_image(relative):
                images[label].append(relative)
            else:
                others.append(relative)
    return Release(root, images, masks, others)


def chosen_classes(release: Release, classes: Sequence[str], discarded: Sequence[str]) -> dict[str, list[Path]]:
    """Return the images of `classes`, in that order.

    Raises:
        DataError: A class has no images, or a folder is neither a class nor discarded.
    """
    unknown = sorted(set(release.images) - set(classes) - set(discarded))
    if unknown:
        raise DataError(
            f"{release.root} has folders that are neither in params.yaml 'classes' nor in 'prepare.discard': "
            f"{', '.join(unknown)}; list each in one of the two"
        )
    missing = [label for label in classes if not release.images.get(label)]
    if missing:
        raise DataError(
            f"{release.root} has no images for {', '.join(missing)}; expected a folder for each of "
            f"{', '.join(classes)}. Fetch them with 'dvc pull data' or import a release with 'cxr-data import PATH'"
        )
    return {label: release.images[label] for label in classes}


def _files_below(folder: Path, root: Path) -> list[Path]:
    files = (path.relative_to(root) for path in folder.rglob("*") if path.is_file())
    visible = (path for path in files if not any(part.startswith(".") for part in path.parts))
    return sorted(visible, key=lambda path: path.as_posix())


NAME_COLUMN, SOURCE_COLUMN = "FILE NAME", "URL"
PATIENT_COLUMNS = ["file", "patient_id"]


def read_sources(root: Path) -> dict[str, str]:
    """Read the `<CLASS>.metadata.xlsx` sheets of a release.

    The sheets spell names as they like (`NORMAL-12` for `Normal-12.png`), so a class is compared by its label
    and a file by the last number of its name.

    Returns:
        Source by POSIX path relative to `root`; files that no sheet names are absent.

    Raises:
        DataError: A sheet cannot be read or lacks a column.
    """
    images = read_release(root).images
    found: dict[str, str] = {}
    for sheet in sorted(root.glob(f"*{METADATA_SUFFIX}")):
        label = label_of(sheet.name.removesuffix(METADATA_SUFFIX))
        by_key = _sheet(sheet)
        for path in images.get(label, []):
            source = by_key.get(_key(path.stem))
            if source:
                found[path.as_posix()] = source
    return found


def read_patients(root: Path) -> dict[str, str]:
    """Read `patients.csv` (columns file, patient_id) where there is one.

    Returns:
        Patient by POSIX path relative to `root`; unknown patients are absent.

    Raises:
        DataError: The table lacks a column or names a file twice.
    """
    path = root / PATIENTS_FILE
    if not path.is_file():
        return {}
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if not set(PATIENT_COLUMNS) <= set(table.columns):
        raise DataError(f"{path} has the columns {list(table.columns)}; expected {PATIENT_COLUMNS}")
    twice = table.loc[table["file"].duplicated(), "file"]
    if len(twice):
        raise DataError(f"{path} names {twice.iloc[0]} twice; each file has one patient")
    return {file: patient for file, patient in zip(table["file"], table["patient_id"], strict=True) if patient}


def _sheet(path: Path) -> dict[str, str]:
    try:
        table = pd.read_excel(path, dtype=str, keep_default_na=False)
    except Exception as error:  # a broken workbook raises from zipfile, XML or openpyxl
        raise DataError(f"{path} cannot be read as an Excel workbook: {error}; repair or remove it") from error
    if not {NAME_COLUMN, SOURCE_COLUMN} <= set(table.columns):
        raise DataError(f"{path} has the columns {list(table.columns)}; expected {NAME_COLUMN} and {SOURCE_COLUMN}")
    return {
        _key(Path(name).stem): url.strip() for name, url in zip(table[NAME_COLUMN], table[SOURCE_COLUMN], strict=True)
    }


def _key(stem: str) -> str:
    numbers = re.findall(r"\d+", stem)
    return numbers[-1].lstrip("0") if numbers else stem.casefold()


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
