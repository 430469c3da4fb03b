"""Find the folder whose folders are the classes, lay its files out as `data/` has them, and move patients' table."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from cxr.core.errors import DataError
from cxr.core.files import copy_file, whole_file
from cxr.dataset.release import (
    COLLECTIONS_FILE,
    MASK_FOLDER,
    PATIENTS_FILE,
    FileTable,
    is_image,
    is_mask,
    read_file_table,
    sheet_folder,
)
from cxr.dataset.spelling import folder_label, label_of
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
        DataError: No folder has them all, several have, or two folders of it have the same label; or there are class
            folders with images beside that one, as where somebody has split the images.
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
    _refuse_others(listing, complete[0], classes)
    return _sorted_out(complete[0], children[complete[0]], {*classes, *discarded})


def _refuse_others(listing: Listing, base: PurePosixPath, classes: Sequence[str]) -> None:
    others = [
        str(folder)
        for folder in listing.folders[1:]
        if folder_label(folder.name) in classes and not folder.is_relative_to(base) and _count_images(listing, folder)
    ]
    if others:
        raise DataError(
            f"The classes {', '.join(classes)} are in {base}, and other folders of classes have images too, which "
            f"would be left out: {', '.join(others[:SHOWN])}. Give the folder to import, or merge them"
        )


def _children(listing: Listing) -> dict[PurePosixPath, list[PurePosixPath]]:
    children: dict[PurePosixPath, list[PurePosixPath]] = {folder: [] for folder in listing.folders}
    for folder in listing.folders[1:]:
        children[folder.parent].append(folder)
    return children


def _wanted(folders: list[PurePosixPath], classes: Sequence[str]) -> set[str]:
    return {folder_label(folder.name) for folder in folders} & set(classes)


def _sorted_out(base: PurePosixPath, folders: list[PurePosixPath], wanted: set[str]) -> ClassFolders:
    known: dict[str, PurePosixPath] = {}
    unknown = []
    for folder in folders:
        label = folder_label(folder.name)
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
        f"each of {', '.join(classes)} (its name in lower case, without accents, with _ for anything else)."
    )
    archives = [str(file) for file in listing.files if file.name.lower().endswith(SUFFIXES)]
    if tables := [str(file) for file in listing.files if file.name.lower() == "labels.csv"]:
        return f"{message} A table of labels is imported by its own name: {tables[0]}"
    if archives and not found:
        return f"{message} Archives inside a folder are not searched: import {archives[0]} itself"
    return f"{message} Rename the folder, or edit 'classes' in params.yaml"


IMAGE_FOLDER = "images"
# In any case of letters; only the first is read. Notepad adds .txt to the name, and Windows does not show it.
_PATIENTS_ENDS = ("csv.txt", "txt", "tsv", "xlsx", "xls", "xlsm", "ods")
_PATIENTS_NAMES = (PATIENTS_FILE, *(f"patients.{end}" for end in _PATIENTS_ENDS))


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the files of a release go.

    Attributes:
        moves: Path in `data/` by path in the listing, for images, masks and metadata sheets.
        images: Per label, the images' paths in `data/`, sorted.
        masks: Per label, the number of masks.
        unknown: Per folder that is neither class nor discarded, the number of its images; they stay behind.
        loose: Number of images that lie in none of these folders; they stay behind.
        ignored: Files of class folders that are neither image nor mask; they stay behind.
        patients: The patients table in the listing, if there is one.
        collections: Likewise the table of collections.
        folders: Per label, the name of its folder in `data/`.
    """

    moves: dict[PurePosixPath, PurePosixPath]
    images: dict[str, list[PurePosixPath]]
    masks: dict[str, int]
    unknown: dict[str, int]
    loose: int
    ignored: int
    patients: PurePosixPath | None
    collections: PurePosixPath | None
    folders: dict[str, str]


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
    refuse_collisions(moves.items())
    unknown = {folder.name: _count_images(listing, folder) for folder in found.unknown}
    loose = _count_images(listing, PurePosixPath()) - sum(map(is_image, map(Path, moves))) - sum(unknown.values())
    folders = {label: folder.name for label, folder in found.folders.items()}
    patients, collections = _patients(listing, found.base), _nearest(listing, found.base, (COLLECTIONS_FILE,))
    return Layout(moves, images, masks, unknown, loose, ignored, patients, collections, folders)


def _place(folder: PurePosixPath, file: PurePosixPath) -> PurePosixPath:
    inside = file.relative_to(folder)
    top = inside.parts[0].lower()
    if len(inside.parts) > 1 and top in (IMAGE_FOLDER, MASK_FOLDER):
        return PurePosixPath(folder.name, top, *inside.parts[1:])
    return PurePosixPath(folder.name, IMAGE_FOLDER, inside)


def _sheets(listing: Listing, found: ClassFolders) -> Iterator[tuple[PurePosixPath, PurePosixPath]]:
    for file in listing.files:
        named = sheet_folder(file.name) if file.parent == found.base else None
        folder = found.folders.get(label_of(named)) if named else None
        if named and folder is not None:
            yield file, PurePosixPath(folder.name + file.name[len(named) :].lower())


def _patients(listing: Listing, base: PurePosixPath) -> PurePosixPath | None:
    """Return the nearest table: beside the class folders, or in a folder around them.

    Raises:
        DataError: It has another name, and leaving it out in silence would put one patient's images into two splits.
    """
    nearest = _nearest(listing, base, _PATIENTS_NAMES)
    if nearest is not None and nearest.name.lower() != PATIENTS_FILE:
        raise DataError(
            f"{nearest} is not read, only {PATIENTS_FILE} is; save it beside it by that name, in Excel as 'CSV UTF-8'"
        )
    return nearest


def _nearest(listing: Listing, base: PurePosixPath, names: Sequence[str]) -> PurePosixPath | None:
    """Return the file of one of `names`, the first before the others, in `base` or the nearest folder around it."""
    around = {folder: depth for depth, folder in enumerate((base, *base.parents))}
    found = [file for file in listing.files if file.parent in around and file.name.lower() in names]
    return min(found, key=lambda file: (around[file.parent], names.index(file.name.lower())), default=None)


def _count_images(listing: Listing, folder: PurePosixPath) -> int:
    return sum(file.is_relative_to(folder) and is_image(Path(file)) for file in listing.files)


def _refuse_empty(images: dict[str, list[PurePosixPath]], found: ClassFolders, classes: Sequence[str]) -> None:
    empty = [str(found.folders[label]) for label in classes if not images[label]]
    if empty:
        raise DataError(
            f"No image lies in the class folder {', '.join(empty)}; expected PNG, JPEG, TIFF, BMP or DICOM files in it "
            f"or in its sub-folder {IMAGE_FOLDER}/. Put them there, or unpack the archive again"
        )


def refuse_collisions(moves: Iterable[tuple[PurePath, PurePosixPath]], *, fold_case: bool = False) -> None:
    """Raise DataError where two files would get the same place.

    Args:
        moves: Of each file, where it is and where it goes.
        fold_case: Whether letter case does not count, as on a disk of Windows or macOS.
    """
    taken: dict[str, PurePath] = {}
    for source, place in moves:
        key = str(place).casefold() if fold_case else str(place)
        if key in taken:
            raise DataError(f"{taken[key]} and {source} would both become data/{place}; rename or remove one of them")
        taken[key] = source


def move_file_table(source: Path, target: Path, column: str, places: Mapping[PurePosixPath, PurePosixPath]) -> int:
    r"""Write the lines of `source` to `target` with the new paths.

    Args:
        source: See `cxr.dataset.release.read_file_table`; its other columns are kept.
        column: The one that it must have beside `file`.
        target: Written anew, as plain CSV; byte for byte `source` where no path changes.
        places: New path by old path, both as the tables should name them.

    Returns:
        Number of lines left out because they name no file in `places`.

    Raises:
        DataError: The table is not one.
    """
    table = read_file_table(source, column)
    number, kept = table.header.index("file"), []
    for row, file in zip(table.rows, table.files, strict=True):
        place = places.get(PurePosixPath(file))
        if place is not None:
            kept.append([*row[:number], str(place), *row[number + 1 :]])
    if kept == table.rows:
        copy_file(source, target)
        return 0
    _write_rows(target, [table.header, *kept])
    return len(table.rows) - len(kept)


def add_to_file_table(path: Path, column: str, values: Mapping[str, str]) -> None:
    """Write `values` by file into a column of the table at `path`, which may be absent; they replace what is there."""
    if not values:
        return
    table = read_file_table(path, column) if path.is_file() else FileTable(("file", column), [], [])
    rows = dict(zip(table.files, table.rows, strict=True))
    for file, value in values.items():
        row = rows.setdefault(file, [file if name == "file" else "" for name in table.header])
        row[table.header.index(column)] = value
    _write_rows(path, [table.header, *rows.values()])


def _write_rows(path: Path, rows: Iterable[Sequence[str]]) -> None:
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as written:
        csv.writer(written, lineterminator="\n").writerows(rows)
