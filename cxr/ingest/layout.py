"""Find the folder whose folders are the classes, lay its files out as `data/` has them, and move patients' table."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cxr.core.errors import DataError
from cxr.core.files import copy_file, whole_file
from cxr.dataset.release import MASK_FOLDER, METADATA_SUFFIX, PATIENTS_FILE, is_image, is_mask, label_of
from cxr.ingest.archive import SUFFIXES, Listing

SHOWN = 10  # names in a message


@dataclass(frozen=True, slots=True)
class ClassFolders:
    """The class folders of a listing; all paths relative to its root.

    Attributes:
        base: The folder that holds them.
        folders: By label, those of wanted and discarded classes.
        unknown: The other folders in `base`.
    """

    base: PurePosixPath
    folders: dict[str, PurePosixPath]
    unknown: list[PurePosixPath]


def find_class_folders(listing: Listing, classes: Sequence[str], discarded: Sequence[str]) -> ClassFolders:
    """Find the one folder that has a folder for each of `classes`; those of `discarded` may be there.

    Raises:
        DataError: No folder has them all, several have, or two folders of it have the same label.
    """
    children = _children(listing)
    matches = {base: _wanted(folders, classes) for base, folders in children.items()}
    complete = [base for base, labels in matches.items() if len(labels) == len(classes)]
    if not complete:
        best = max(matches, key=lambda base: len(matches[base]))
        raise DataError(_missing(listing, best, children[best], classes, matches[best]))
    if len(complete) > 1:
        raise DataError(
            f"The classes {', '.join(classes)} are in more than one folder: {', '.join(map(str, complete))}. "
            "Give the one to import, or merge them"
        )
    return _sorted_out(complete[0], children[complete[0]], {*classes, *discarded})


def _children(listing: Listing) -> dict[PurePosixPath, list[PurePosixPath]]:
    children: dict[PurePosixPath, list[PurePosixPath]] = {folder: [] for folder in listing.folders}
    for folder in listing.folders[1:]:
        children[folder.parent].append(folder)
    return children


def _wanted(folders: list[PurePosixPath], classes: Sequence[str]) -> set[str]:
    return {label_of(folder.name) for folder in folders} & set(classes)


def _sorted_out(base: PurePosixPath, folders: list[PurePosixPath], wanted: set[str]) -> ClassFolders:
    known: dict[str, PurePosixPath] = {}
    unknown = []
    for folder in folders:
        label = label_of(folder.name)
        if label not in wanted:
            unknown.append(folder)
        elif label in known:
            raise DataError(f"{known[label]} and {folder} are both the class '{label}'; merge or rename one of them")
        else:
            known[label] = folder
    return ClassFolders(base, known, unknown)


def _missing(
    listing: Listing, base: PurePosixPath, folders: list[PurePosixPath], classes: Sequence[str], found: set[str]
) -> str:
    absent = [label for label in classes if label not in found]
    names = [folder.name for folder in folders]
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    place = "the top folder" if base == PurePosixPath() else f"the folder {base}"
    message = (
        f"No folder for the class {', '.join(absent)}: {place} has {shown or 'no folders'}; expected a folder for "
        f"each of {', '.join(classes)} (its name in lower case, with _ for anything else)."
    )
    archives = [str(file) for file in listing.files if file.name.lower().endswith(SUFFIXES)]
    if archives and not found:
        return f"{message} Archives inside a folder are not searched: import {archives[0]} itself"
    return f"{message} Rename the folder, or edit 'classes' in params.yaml"


IMAGE_FOLDER = "images"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the files of a release go.

    Attributes:
        moves: Path in `data/` by path in the listing, for images, masks and metadata sheets.
        images: Per label, the images' paths in `data/`, sorted.
        masks: Per label, the number of masks.
        unknown: Per folder that is neither class nor discarded, the number of its images; they stay behind.
        ignored: Files of class folders that are neither image nor mask; they stay behind.
        patients: The patients table in the listing, if there is one.
    """

    moves: dict[PurePosixPath, PurePosixPath]
    images: dict[str, list[PurePosixPath]]
    masks: dict[str, int]
    unknown: dict[str, int]
    ignored: int
    patients: PurePosixPath | None


def lay_out(listing: Listing, found: ClassFolders, classes: Sequence[str]) -> Layout:
    """Decide where each file goes.

    Raises:
        DataError: A class has no image, or two files would get the same place.
    """
    moves, images, masks, ignored = {}, {}, {}, 0
    for label, folder in found.folders.items():
        inside = [file for file in listing.files if file.is_relative_to(folder)]
        kept = {file: _place(folder, file) for file in inside if is_image(Path(file))}
        moves.update(kept)
        ignored += len(inside) - len(kept)
        images[label] = sorted(place for place in kept.values() if not is_mask(Path(place)))
        masks[label] = len(kept) - len(images[label])
    _refuse_empty(images, found, classes)
    moves.update(_sheets(listing, found))
    _refuse_collisions(moves)
    unknown = {folder.name: _count_images(listing, folder) for folder in found.unknown}
    return Layout(moves, images, masks, unknown, ignored, _patients(listing, found.base))


def _place(folder: PurePosixPath, file: PurePosixPath) -> PurePosixPath:
    inside = file.relative_to(folder)
    top = inside.parts[0].lower()
    if len(inside.parts) > 1 and top in (IMAGE_FOLDER, MASK_FOLDER):
        return PurePosixPath(folder.name, top, *inside.parts[1:])
    return PurePosixPath(folder.name, IMAGE_FOLDER, inside)


def _sheets(listing: Listing, found: ClassFolders) -> Iterator[tuple[PurePosixPath, PurePosixPath]]:
    for file in listing.files:
        if file.parent == found.base and file.name.lower().endswith(METADATA_SUFFIX):
            folder = found.folders.get(label_of(file.name[: -len(METADATA_SUFFIX)]))
            if folder is not None:
                yield file, PurePosixPath(folder.name + METADATA_SUFFIX)


def _patients(listing: Listing, base: PurePosixPath) -> PurePosixPath | None:
    """Return the nearest table: beside the class folders, or in a folder around them."""
    files = set(listing.files)
    return next((folder / PATIENTS_FILE for folder in (base, *base.parents) if folder / PATIENTS_FILE in files), None)


def _count_images(listing: Listing, folder: PurePosixPath) -> int:
    return sum(file.is_relative_to(folder) and is_image(Path(file)) for file in listing.files)


def _refuse_empty(images: dict[str, list[PurePosixPath]], found: ClassFolders, classes: Sequence[str]) -> None:
    empty = [str(found.folders[label]) for label in classes if not images[label]]
    if empty:
        raise DataError(
            f"No image lies in the class folder {', '.join(empty)}; expected PNG, JPEG, TIFF, BMP or DICOM files in it "
            f"or in its sub-folder {IMAGE_FOLDER}/. Put them there, or unpack the release again"
        )


def _refuse_collisions(moves: dict[PurePosixPath, PurePosixPath]) -> None:
    taken: dict[PurePosixPath, PurePosixPath] = {}
    for source, place in moves.items():
        if place in taken:
            raise DataError(f"{taken[place]} and {source} would both become data/{place}; rename or remove one of them")
        taken[place] = source


FILE_COLUMN, PATIENT_COLUMN = "file", "patient_id"


def move_patients_table(source: Path, target: Path, places: Mapping[PurePosixPath, PurePosixPath]) -> int:
    r"""Write the lines of `source` to `target` with the new paths.

    Args:
        source: CSV with the columns file and patient_id; others are kept. Paths may be written with `\` or `./`.
        target: Written anew; byte for byte `source` where no path changes.
        places: New path by old path, both as the tables should name them.

    Returns:
        Number of lines left out because they name no file in `places`.

    Raises:
        DataError: The table cannot be read or lacks a column.
    """
    header, rows = _read(source)
    column, kept = header.index(FILE_COLUMN), []
    for row in rows:
        place = places.get(PurePosixPath(row[column].replace("\\", "/")))
        if place is not None:
            kept.append([*row[:column], str(place), *row[column + 1 :]])
    if kept == rows:
        copy_file(source, target)
        return 0
    with whole_file(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *kept])
    return len(rows) - len(kept)


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = [row for row in csv.reader(file) if row] or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name} cannot be read as CSV in UTF-8: {error}; repair or remove it") from error
    if not {FILE_COLUMN, PATIENT_COLUMN} <= set(header):
        raise DataError(
            f"{path.name} has the columns {', '.join(header) or 'none'}; expected {FILE_COLUMN} and {PATIENT_COLUMN}. "
            "Rename its columns, or remove it"
        )
    short = next((number for number, row in enumerate(rows, start=2) if len(row) != len(header)), None)
    if short is not None:
        raise DataError(f"{path.name}: row {short} has not as many values as the head; repair or remove it")
    return header, rows
