"""Import a release: unpack or copy it, look at all of it, then put it at `data/`."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cxr.dataset.archive import Limits, unpack
from cxr.dataset.class_folders import find_class_folders
from cxr.dataset.inspection import ClassCounts, Inspected, count_classes, inspect
from cxr.dataset.layout import Layout, lay_out
from cxr.dataset.listing import Listing, list_folder
from cxr.dataset.moved_patients import move_patients
from cxr.dataset.project import PARAMS_FILE, Project
from cxr.dataset.release import PATIENTS_FILE
from cxr.dataset.sources import read_sources
from cxr.dataset.swap import replacing, workspace
from cxr.dataset.tracking import DATA, dvc_add, with_expected_files
from cxr.errors import DataError
from cxr.files import write_text
from cxr.progress import Track, untracked


@dataclass(frozen=True, slots=True)
class Staged:
    """A release in the layout of `data/`, looked at, not yet in its place.

    Attributes:
        project: Where it will go.
        folder: The future `data/`.
        layout: Where each file came from.
        inspected: Every image.
        counts: Per label.
        lost_patients: Lines of patients.csv left out because they name no imported file.
    """

    project: Project
    folder: Path
    layout: Layout
    inspected: list[Inspected]
    counts: dict[str, ClassCounts]
    lost_patients: int

    @property
    def expected_files(self) -> int:
        """Number of images of the wanted classes, discarded ones aside."""
        return sum(self.counts[label].images for label in self.project.data.classes)


@contextmanager
def staged(source: Path, project: Project, limits: Limits, track: Track = untracked) -> Iterator[Staged]:
    """Lay the release `source` (a folder or an archive) out in a temporary folder and look at every image.

    The temporary folder lies in the project's folder and is removed when the block ends; `put_in_place` empties it.

    Raises:
        DataError: The release cannot be used as it is, or the disk cannot hold it.
    """
    if not source.exists():
        raise DataError(f"{source} does not exist; give the downloaded archive or the unpacked folder")
    try:
        with workspace(project.root) as work:
            yield _stage(source, project, work, limits, track)
    except OSError as error:
        raise DataError(f"The import stopped and data/ is as it was: {error}; see to that and import again") from error


def put_in_place(release: Staged, dvc: bool) -> None:
    """Make the release the project's data: `data/`, prepare.expected_files and, with `dvc`, data.dvc; all or nothing.

    Raises:
        DataError: `dvc add` failed; everything is as it was.
    """
    root = release.project.root
    params = root / PARAMS_FILE
    described_by = (params, root / f"{DATA}.dvc", root / ".gitignore")
    with replacing(root / DATA, release.folder, release.folder.parent / "old", described_by):
        text = params.read_bytes().decode("utf-8")
        write_text(params, with_expected_files(text, release.expected_files))
        if dvc:
            dvc_add(root)


def _stage(source: Path, project: Project, work: Path, limits: Limits, track: Track) -> Staged:
    folder = source
    if not source.is_dir():
        folder = work / "unpacked"
        folder.mkdir()
        unpack(source, folder, limits, track)
    listing = list_folder(folder)
    classes = project.data.classes
    layout = lay_out(listing, find_class_folders(listing, classes, project.discard), classes)
    data = work / DATA
    _bring(listing, layout, data, movable=folder is not source, track=track)
    lost = _bring_patients(listing, layout, data)
    files = [file for files in layout.images.values() for file in files]
    inspected = inspect(data, files, project.data.image.side, track)
    return Staged(project, data, layout, inspected, count_classes(layout.images, inspected, read_sources(data)), lost)


def _bring(listing: Listing, layout: Layout, data: Path, movable: bool, track: Track) -> None:
    for old, new in track(layout.moves.items(), "copying", len(layout.moves)):
        target = data / new
        target.parent.mkdir(parents=True, exist_ok=True)
        if movable:
            (listing.root / old).rename(target)
        else:
            shutil.copyfile(listing.root / old, target, follow_symlinks=False)


def _bring_patients(listing: Listing, layout: Layout, data: Path) -> int:
    if layout.patients is None:
        return 0
    home = layout.patients.parent
    places = {old.relative_to(home): new for old, new in layout.moves.items()}
    return move_patients(listing.root / layout.patients, data / PATIENTS_FILE, places)
