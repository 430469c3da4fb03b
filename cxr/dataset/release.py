"""What lies in a release: class folders with images, masks to leave aside, metadata sheets, patients."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr.errors import DataError
from cxr.formats import SUFFIXES

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
