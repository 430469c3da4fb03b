"""What lies in a release: class folders with images, masks to leave aside, metadata sheets, sources and patients."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from cxr.core.errors import DataError, ImageError
from cxr.core.files import Track, guarded, untracked
from cxr.core.image import Plane
from cxr.core.process import Map
from cxr.core.tabular_files import bare, read_csv, read_table
from cxr.dataset.spelling import composed, folder_label, label_of
from cxr.imaging.decode import read_plane
from cxr.imaging.formats import SUFFIXES

if TYPE_CHECKING:
    import pandas as pd


MASK_FOLDER = "masks"
PATIENTS_FILE, COLLECTIONS_FILE = "patients.csv", "collections.csv"
PATIENT, COLLECTION = "patient_id", "collection"  # their columns beside `file`
METADATA_SUFFIX = ".metadata.xlsx"
SHEET_NAME = re.compile(r"(?P<folder>.+)\.metadata\.(xlsx|xls|csv)", re.IGNORECASE | re.DOTALL)


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


# What people call the columns of a table of labels, beside PATH_NAMES, in the order in which they are looked for.
LABEL_NAMES = ("label", "class", "diagnosis")
PATIENT_NAMES = ("patient", "patient_id")


def known_column(header: Sequence[str], known: Sequence[str]) -> str | None:
    """Return the first of the `known` columns, as the header spells it; None where there is none."""
    spelt = {label_of(column): column for column in reversed(header)}
    return next((spelt[name] for name in known if name in spelt), None)


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
        label = folder_label(folder.name)
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
            f"{', '.join(classes)}. Fetch them with 'dvc pull data' or import your own with 'cxr-data import PATH'"
        )
    return {label: release.images[label] for label in classes}


def _files_below(folder: Path, root: Path) -> list[Path]:
    found: list[str] = []
    folders = [(folder, folder.relative_to(root).as_posix())]
    while folders:
        path, name = folders.pop()
        with os.scandir(path) as entries:  # ten times as fast as Path.rglob
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append((path / entry.name, f"{name}/{entry.name}"))
                elif entry.is_file():
                    found.append(f"{name}/{entry.name}")
    return [Path(file) for file in sorted(found)]


NAME_COLUMN, SOURCE_COLUMN = "FILE NAME", "URL"


def sheet_folder(name: str) -> str | None:
    """Return the class folder that a metadata sheet belongs to by its name; None for other files."""
    found = SHEET_NAME.fullmatch(name)
    return found["folder"] if found else None


def read_sources(root: Path) -> dict[str, str]:
    """Read the sheets `<CLASS>.metadata.xlsx` or `<CLASS>.metadata.csv` of a release, and `collections.csv`.

    What `collections.csv` says of a file, also that its collection is not known, counts more. The sheets spell names
    as they like (`NORMAL-12` for `Normal-12.png`), so a class is compared by its label and a file by the last number of
    its name.

    Returns:
        Source by POSIX path relative to `root`; files whose source is not known are absent.

    Raises:
        DataError: A sheet or table cannot be read or lacks a column, or a class has two.
    """
    images = read_release(root).images
    found: dict[str, str] = {}
    for label, sheet in _sheets(root).items():
        by_key = _sheet(sheet)
        for path in images.get(label, []):
            source = by_key.get(_key(path.stem))
            if source:
                found[path.as_posix()] = source
    found |= _by_file(root / COLLECTIONS_FILE, COLLECTION)
    return {file: source for file, source in found.items() if source}


@dataclass(frozen=True, slots=True)
class FileTable:
    """`patients.csv` or `collections.csv`.

    Attributes:
        header: Names of its columns, `file` among them.
        rows: Its cells, as they stand there.
        files: POSIX paths, one a row, each once.
    """

    header: tuple[str, ...]
    rows: list[list[str]]
    files: list[str]

    def column(self, name: str) -> list[str]:
        """Return the cells of a column, without blanks around them: `p1` and `p1 ` are one patient."""
        number = self.header.index(name)
        return [bare(cells[number]) for cells in self.rows]


def read_patients(root: Path) -> dict[str, str]:
    """Read `patients.csv` where there is one; see `read_file_table`.

    Returns:
        Patient by POSIX path relative to `root`; unknown patients are absent.
    """
    found = _by_file(root / PATIENTS_FILE, PATIENT).items()
    return {file: composed(patient) for file, patient in found if patient}  # an accent may be stored in two ways


def _by_file(path: Path, column: str) -> dict[str, str]:
    if not path.is_file():
        return {}
    table = read_file_table(path, column)
    return dict(zip(table.files, table.column(column), strict=True))


def read_file_table(path: Path, column: str) -> FileTable:
    r"""Read a table with the columns file and `column` and any others; for import and for `prepare`.

    Args:
        path: In any form that `cxr.core.tabular_files` reads; paths in it may be written with `\` or `./`.
        column: `PATIENT` or `COLLECTION`.

    Raises:
        DataError: It cannot be read, lacks a column, or names no file in a row or a file twice.
    """
    table = read_csv(path, ("file", column), name=path.name)
    number_of_file = table.header.index("file")
    rows: list[list[str]] = []
    files: dict[str, None] = {}
    for number, cells in table.rows:
        file = PurePosixPath(bare(cells[number_of_file]).replace("\\", "/")).as_posix()
        if file == ".":
            raise DataError(f"{path.name}, row {number}, names no file; fill in its cell 'file', or remove the row")
        if file in files:
            raise DataError(f"{path.name}, row {number}, names {file} twice; give each file one row")
        files[file] = None
        rows.append(cells)
    return FileTable(table.header, rows, list(files))


def _sheets(root: Path) -> dict[str, Path]:
    """Return the sheets by label, sorted by name."""
    found: dict[str, Path] = {}
    for sheet in sorted(root.iterdir()):
        folder = sheet_folder(sheet.name)
        if folder is not None and not sheet.name.startswith("."):
            label = label_of(folder)
            if label in found:
                raise DataError(f"{found[label].name} and {sheet.name} are both of the class '{label}'; remove one")
            found[label] = sheet
    return found


def _sheet(path: Path) -> dict[str, str]:
    table, _ = read_table(path, (NAME_COLUMN, SOURCE_COLUMN), path.name)
    name, source = map(table.header.index, (NAME_COLUMN, SOURCE_COLUMN))
    return {_key(Path(cells[name]).stem): bare(cells[source]) for _, cells in table.rows}


def _key(stem: str) -> str:
    numbers = re.findall(r"\d+", stem)
    return numbers[-1].lstrip("0") if numbers else stem.casefold()


MASKS_TABLE = "masks.csv"
IMAGE_FOLDER = "images"
LUNG = 128  # grey level from which a resized mask counts as lung
CHUNK = 64  # masks of one task


def find_masks(release: Release, files: Sequence[str]) -> "pd.DataFrame":
    """Find each image's mask: in the folder `masks` where the image is in `images` or in the class folder itself.

    Args:
        release: For its root and its number of masks.
        files: POSIX paths of images relative to the root.

    Returns:
        One row an image with `file` and `mask`, the mask's POSIX path relative to the root or an empty string.
    """
    import pandas as pd

    masks = [_mask_of(release.root, PurePosixPath(file)) if release.masks else "" for file in files]
    return pd.DataFrame({"file": list(files), "mask": masks})


def read_masks(
    root: Path, masks: Sequence[str], side: int, scratch: Path, track: Track = untracked, each: Map = map
) -> Plane:
    """Read masks as planes, which lie on the disk.

    Args:
        root: Of the release.
        masks: As in the column `mask` of `find_masks`.
        side: Pixels.
        scratch: A folder for the planes, which must stay as long as they are used.
        track: Shows the progress.
        each: From `cxr.core.process.worker_processes`.

    Returns:
        uint8 (n, side, side), read-only, 255 in the lungs, 0 elsewhere and everywhere for an image without mask; of
        shape (0, side, side) when no image has one.

    Raises:
        DataError: A mask cannot be read.
        OutputError: The disk takes no more.
    """
    if not any(masks):
        return np.zeros((0, side, side), np.uint8)
    tasks = [masks[start : start + CHUNK] for start in range(0, len(masks), CHUNK)]
    read = chain.from_iterable(each(partial(_read_task, root, side), tasks))
    path = scratch / "masks.planes"
    with guarded(path), path.open("wb") as file:
        for plane in track(read, "reading masks", len(masks)):
            file.write(plane.data)
    return np.memmap(path, np.uint8, "r", shape=(len(masks), side, side))


def _read_task(root: Path, side: int, masks: Sequence[str]) -> list[Plane]:
    return [_read(root, mask, side) if mask else np.zeros((side, side), np.uint8) for mask in masks]


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
