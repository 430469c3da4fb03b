"""From a release as somebody has it to the layout of `data/`: which file goes where, decided before any is touched."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cxr.dataset.class_folders import ClassFolders
from cxr.dataset.listing import Listing
from cxr.dataset.release import MASK_FOLDER, METADATA_SUFFIX, PATIENTS_FILE, is_image, is_mask, label_of
from cxr.errors import DataError

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
