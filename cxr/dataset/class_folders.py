"""Find the folder whose folders are the classes, however deep it lies."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from cxr.dataset.archive import SUFFIXES
from cxr.dataset.listing import Listing
from cxr.dataset.release import label_of
from cxr.errors import DataError

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
