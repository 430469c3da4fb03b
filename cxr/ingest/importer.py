"""Import a release: unpack or copy it, look at all of it, then put it at `data/`."""

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path, PurePosixPath

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from cxr.core.errors import DataError, ImageError, OutputError, ParamsError
from cxr.core.files import (
    Track,
    alone,
    copy_file,
    discard,
    guarded,
    make_folder,
    move,
    refused,
    remove,
    untracked,
    write_bytes,
    write_text,
)
from cxr.core.params import DataParams, params_text, read_params, section, top_level, with_values
from cxr.dataset.prepare import PrepareParams
from cxr.dataset.release import COLLECTION, COLLECTIONS_FILE, PATIENT, PATIENTS_FILE, read_patients, read_sources
from cxr.imaging.decode import decode
from cxr.imaging.dicom import dicom_attributes
from cxr.imaging.headers import HEADER_REASONS
from cxr.ingest.archive import Limits, Listing, list_folder, unpack
from cxr.ingest.labels import LabelledImage, Labels, is_label_table, read_label_table
from cxr.ingest.layout import (
    IMAGE_FOLDER,
    Layout,
    add_to_file_table,
    find_class_folders,
    lay_out,
    move_file_table,
    refuse_collisions,
)

UNKNOWN = "unknown"
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Inspected:
    """One image file.

    Attributes:
        file: Relative to the inspected folder.
        kind: Bits and mode as stored, e.g. `8-bit L`; empty when unreadable.
        size: Width x height in pixels, e.g. `299x299`; empty when unreadable.
        error: Why it is unreadable, else empty.
        by_header: Whether it is so because its DICOM header calls it no radiograph of the chest.
    """

    file: PurePosixPath
    kind: str = ""
    size: str = ""
    error: str = ""
    by_header: bool = False


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """What the images of one class are; each counter counts images, unreadable ones only in `images`."""

    images: int
    unreadable: int
    kinds: Counter[str]
    sizes: Counter[str]
    sources: Counter[str]


def inspect(root: Path, files: Sequence[PurePosixPath], side: int, track: Track = untracked) -> list[Inspected]:
    """Decode each of `files` (relative to `root`) as the pipeline will, with planes of `side` pixels, in threads."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        try:
            passing = pool.map(lambda file: _inspect_one(root, file, side), files)
            return list(track(passing, "reading images", len(files)))
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C, do not decode the rest first


def require_readable(inspected: Sequence[Inspected]) -> None:
    """Raise DataError naming the first unreadable files, if there are any, and how many their headers refuse."""
    bad = [item for item in inspected if item.error]
    if not bad:
        return
    named = "; ".join(f"{item.file} ({item.error})" for item in bad[:SHOWN])
    more = f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    raise DataError(
        f"{len(bad)} of {len(inspected)} images cannot be used{_by_header(bad)}: {named}{more}. Nothing was imported. "
        "Replace or remove them, or import all the same with --allow-unreadable"
    )


def _by_header(bad: Sequence[Inspected]) -> str:
    number = sum(item.by_header for item in bad)
    return f", {number} of them by their DICOM headers no radiographs of the chest" if number else ""


def count_classes(
    images: Mapping[str, Sequence[PurePosixPath]], inspected: Sequence[Inspected], sources: Mapping[str, str]
) -> dict[str, ClassCounts]:
    """Count per label what was found; `sources` is by POSIX path, a missing one counts as `UNKNOWN`."""
    by_file = {item.file: item for item in inspected}
    return {label: _count_class([by_file[file] for file in files], sources) for label, files in images.items()}


def _inspect_one(root: Path, file: PurePosixPath, side: int) -> Inspected:
    try:
        _, facts = decode(root / file, side)
    except ImageError as error:
        return Inspected(file, error=str(error), by_header=error.reason in HEADER_REASONS)
    return Inspected(file, f"{facts.bit_depth}-bit {facts.mode}", f"{facts.width}x{facts.height}")


def _count_class(items: Sequence[Inspected], sources: Mapping[str, str]) -> ClassCounts:
    readable = [item for item in items if not item.error]
    return ClassCounts(
        images=len(items),
        unreadable=len(items) - len(readable),
        kinds=Counter(item.kind for item in readable),
        sizes=Counter(item.size for item in readable),
        sources=Counter(sources.get(str(item.file), UNKNOWN) for item in items),
    )


DATA = "data"


def with_expected_files(text: str, count: int) -> str:
    """Return the text of a params.yaml with `prepare.expected_files` set to `count` and every other byte kept.

    Raises:
        ParamsError: There is no such key with a plain value.
    """
    section = YAML().load(text).get("prepare")
    if not isinstance(section, CommentedMap) or not isinstance(section.get("expected_files"), int):
        raise ParamsError("params.yaml has no number prepare.expected_files; add 'expected_files: 1' under 'prepare'")
    return with_values(text, {"prepare": {"expected_files": count}})


def require_dvc(root: Path) -> None:
    """Raise DataError unless `dvc add` can work in `root`."""
    if importlib.util.find_spec("dvc") is None:
        raise DataError("DVC is not installed here; run: pip install '.[pipeline]', or give --no-dvc")
    if not any((folder / ".dvc").is_dir() for folder in (root.absolute(), *root.absolute().parents)):
        raise DataError(
            f"{root.absolute()} is not in a DVC project: run 'git init && dvc init' there, or give --no-dvc"
        )


def dvc_add(root: Path) -> None:
    """Track `root`/data with DVC. Raises DataError where DVC fails, with its own words."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "add", "--quiet", DATA], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DataError(f"'dvc add {DATA}' failed; everything was put back as it was. DVC says: {done.stderr.strip()}")


def drop_remote(path: Path) -> None:
    """Remove the key `remote` from the outputs of a .dvc file; comments stay. Without such a file, nothing is done."""
    yaml = YAML()
    yaml.width = 4096
    yaml.preserve_quotes = True
    content = yaml.load(path) if path.exists() else None
    outs = content.get("outs") if isinstance(content, CommentedMap) else None
    with_remote = [out for out in outs if "remote" in out] if isinstance(outs, list) else []
    for out in with_remote:
        del out["remote"]
    if with_remote:
        text = StringIO()
        yaml.dump(content, text)
        write_text(path, text.getvalue())


PARAMS_FILE = "params.yaml"


@dataclass(frozen=True, slots=True)
class Project:
    """Where a release goes.

    Attributes:
        root: The folder with params.yaml.
        data: Classes and image side, from the top level of params.yaml.
        discard: Labels that may be there but are not screened for.
    """

    root: Path
    data: DataParams
    discard: Sequence[str]


def open_project(root: Path, dvc: bool) -> Project:
    """Read what an import needs to know of the project at `root`.

    Raises:
        ParamsError: params.yaml is absent or wrong.
        DataError: `dvc` is wanted and cannot work there.
    """
    values = read_params(root / PARAMS_FILE)
    data, prepare = top_level(values, DataParams), section(values, "prepare", PrepareParams)
    with_expected_files(params_text(root / PARAMS_FILE), 1)  # fails now rather than after the work
    if dvc:
        require_dvc(root)
    return Project(root, data, prepare.discard)


LEFTOVER, OLD, LOCK = ".cxr-import-", "old", ".cxr-import.lock"


@contextmanager
def workspace(root: Path) -> Iterator[Path]:
    """Give a temporary folder in `root`, so on its file system, that Git does not see; removed in the end.

    It stays where it holds the data from before, which could not be put back.

    Raises:
        OutputError: It cannot be made, or another import is at work in `root`.
    """
    with guarded(root):
        work = Path(tempfile.mkdtemp(dir=root, prefix=LEFTOVER))
    try:
        write_text(work / ".gitignore", "*\n")
        yield work
    except BaseException as error:
        if os.path.lexists(work / OLD):  # and the sentence says so
            raise
        discard(work)
        cause = error.__cause__
        if isinstance(error, OutputError) and isinstance(cause, OSError) and work.name in str(error):
            unnamed = OSError(cause.errno, cause.strerror)  # nobody knows the folder that is gone
            raise refused(unnamed, root.absolute() / DATA, kept="what was there before is as it was") from cause
        raise
    discard(work)


@contextmanager
def only_import(root: Path) -> Iterator[list[Path]]:
    """Keep other imports out of `root` while the block runs; what killed ones left there is tidied first.

    Gives:
        Folders that stay: data from before an import that was killed after its own were in their place.

    Raises:
        OutputError: Another import is at work there, or nothing can be written there.
    """
    lock = root / LOCK
    with alone(lock, f"another import is at work in {root.absolute()}; wait for it, then run the same command again"):
        try:
            yield _tidied(root)
        finally:
            discard(lock)  # while it is held: whoever waits for it finds out


@contextmanager
def atomic_replace(target: Path, new: Path, aside: Path, described_by: Sequence[Path]) -> Iterator[None]:
    """Put the folder `new` at `target`; if the block then fails, by Ctrl-C too, put back what was there.

    Args:
        target: May be absent.
        new: On the same file system.
        aside: Where the old folder waits; must not exist. It is left there when the block ends well.
        described_by: Files whose bytes are put back on failure; those absent before are removed.
    """
    before = {path: path.read_bytes() if path.is_file() else None for path in described_by}
    had_old = os.path.lexists(target)  # a link as well, which leads nowhere while it lies aside
    try:
        if had_old:
            move(target, aside)
        move(new, target)
        yield
    except BaseException:
        _put_back(target, new, aside)
        for path, content in before.items():
            _restore(path, content)
        raise


def _tidied(root: Path) -> list[Path]:
    """Clear away what killed imports left, put back data that one had moved aside, and return what may be wanted."""
    kept = []
    for work in sorted(root.glob(f"{LEFTOVER}*/")):
        if os.path.lexists(work / OLD) and not os.path.lexists(root / DATA):
            move(work / OLD, root / DATA)
        if os.path.lexists(work / OLD):
            kept.append(work / OLD)
        else:
            discard(work)
    return kept


def _put_back(target: Path, new: Path, aside: Path) -> None:
    if not new.exists():
        with suppress(OutputError):  # it was not there yet; else the next step says so
            move(target, new)
    if os.path.lexists(aside):
        try:
            move(aside, target)
        except OutputError as error:
            raise OutputError(f"{error}. The data from before are whole in {aside}: move them to {target}") from error


def _restore(path: Path, content: bytes | None) -> None:
    if content is None:
        remove(path)
    elif not path.is_file() or path.read_bytes() != content:
        write_bytes(path, content)


@dataclass(frozen=True, slots=True)
class Staged:
    """A release in the layout of `data/`, looked at, not yet in its place.

    Attributes:
        project: Where it will go.
        folder: The future `data/`.
        layout: Where each file came from.
        inspected: Every image.
        counts: Per label.
        lost_lines: Lines of patients.csv and collections.csv left out because they name no imported file.
        patients: Of each image, by its path in `data/`, if known.
        repeated: Rows of tables of labels that say again what another one says.
        passed_over: For each table with columns that might have been meant too, which were read.
    """

    project: Project
    folder: Path
    layout: Layout
    inspected: list[Inspected]
    counts: dict[str, ClassCounts]
    lost_lines: int
    patients: dict[str, str]
    repeated: int
    passed_over: tuple[str, ...]

    @property
    def expected_files(self) -> int:
        """Number of images of the wanted classes, discarded ones aside."""
        return sum(self.counts[label].images for label in self.project.data.classes)


@dataclass(frozen=True, slots=True)
class Additions:
    """What an import takes beside the release itself.

    Attributes:
        tables: Tables of labels whose images are added to those of the release.
        renamed: Label, a class or a discarded one, by another word for it in snake case.
        patients_from_dicom: Whether to tell patients apart by the PatientID of DICOM files.
    """

    tables: tuple[Path, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    patients_from_dicom: bool = False


NOTHING_MORE = Additions()


@contextmanager
def staged(
    source: Path, project: Project, limits: Limits, track: Track = untracked, more: Additions = NOTHING_MORE
) -> Iterator[Staged]:
    """Lay a release out in a temporary folder and look at every image.

    Args:
        source: A folder or an archive of class folders, or a table of labels.
        project: Where it will go.
        limits: Of an archive.
        track: Is told of the progress.
        more: What is taken beside it.

    The temporary folder lies in the project's folder and is removed when the block ends; `put_in_place` empties it.

    Raises:
        DataError: The release cannot be used as it is, or the disk cannot hold it.
    """
    if not source.exists():
        raise DataError(
            f"{source} does not exist; give the downloaded archive, the unpacked folder or a table of labels"
        )
    with workspace(project.root) as work:
        with guarded(source, "read", "data/ is as it was"):
            release = _stage(source, project, more, work, limits, track)
        yield release


def put_in_place(release: Staged, dvc: bool) -> None:
    """Make the release the project's data: `data/`, prepare.expected_files and, with `dvc`, data.dvc; all or nothing.

    Raises:
        DataError: `dvc add` failed; everything is as it was.
    """
    root = release.project.root
    params = root / PARAMS_FILE
    tracked = root / f"{DATA}.dvc"
    with atomic_replace(
        root / DATA, release.folder, release.folder.parent / OLD, (params, tracked, root / ".gitignore")
    ):
        # The sample's remote lies in the repository: it must never receive the user's images. Before DVC looks, which
        # stages what it writes where `core.autostage` is set; without DVC too, for `dvc repro` writes the file anew.
        drop_remote(tracked)
        write_text(params, with_expected_files(params_text(params), release.expected_files))
        if dvc:
            dvc_add(root)


def _stage(source: Path, project: Project, more: Additions, work: Path, limits: Limits, track: Track) -> Staged:
    data, tables = work / DATA, more.tables
    make_folder(data)
    layout, lost = _NO_FOLDERS, 0
    if is_label_table(source):
        tables = (source, *tables)
    else:
        layout, lost = _bring_folders(source, project, work, limits, track)
    labels = Labels(tuple(project.data.classes), tuple(project.discard), more.renamed)
    labelled = [read_label_table(table, labels) for table in tables]
    layout = _bring_labelled([image for one in labelled for image in one.images], layout, project, data, track)
    files = [file for files in layout.images.values() for file in files]
    if more.patients_from_dicom:
        add_to_file_table(data / PATIENTS_FILE, PATIENT, dicom_patients(data, files))
    inspected = inspect(data, files, project.data.image.side, track)
    counts = count_classes(layout.images, inspected, read_sources(data))
    repeated = sum(one.repeated for one in labelled)
    passed_over = tuple(one.passed_over for one in labelled if one.passed_over)
    return Staged(project, data, layout, inspected, counts, lost, read_patients(data), repeated, passed_over)


_NO_FOLDERS = Layout({}, {}, {}, {}, 0, 0, None, None, {})


def _bring_folders(source: Path, project: Project, work: Path, limits: Limits, track: Track) -> tuple[Layout, int]:
    """Bring class folders; return their layout, and how many lines of tables name no file of theirs."""
    folder = source
    if not source.is_dir():
        folder = work / "unpacked"
        make_folder(folder)
        unpack(source, folder, limits, track)
    listing = list_folder(folder)
    classes = project.data.classes
    layout = lay_out(listing, find_class_folders(listing, classes, project.discard), classes)
    _bring(listing, layout, work / DATA, movable=folder is not source, track=track)
    return layout, _bring_tables(listing, layout, work / DATA)


def _bring(listing: Listing, layout: Layout, data: Path, movable: bool, track: Track) -> None:
    for old, new in track(layout.moves.items(), "copying", len(layout.moves)):
        target = data / new
        make_folder(target.parent)
        if movable:
            move(listing.root / old, target)
        else:
            copy_file(listing.root / old, target)


def _bring_tables(listing: Listing, layout: Layout, data: Path) -> int:
    lost = 0
    for table, name, column in (
        (layout.patients, PATIENTS_FILE, PATIENT),
        (layout.collections, COLLECTIONS_FILE, COLLECTION),
    ):
        if table is not None:
            places = {old.relative_to(table.parent): new for old, new in layout.moves.items()}
            lost += move_file_table(listing.root / table, data / name, column, places)
    return lost


def _bring_labelled(
    labelled: Sequence[LabelledImage], layout: Layout, project: Project, data: Path, track: Track
) -> Layout:
    """Bring the images of tables of labels, and return the layout with them."""
    images = [(image, _place(image, layout)) for image in labelled]
    if images:  # of several folders, so that names may differ in case alone where the disk never has both
        refuse_collisions([*layout.moves.items(), *((image.source, place) for image, place in images)], fold_case=True)
    for image, place in track(images, "copying", len(images)):
        make_folder((data / place).parent)
        copy_file(image.source, data / place)
    named = {str(place): image for image, place in images}
    patients = {file: image.patient for file, image in named.items() if image.patient}
    add_to_file_table(data / PATIENTS_FILE, PATIENT, patients)
    add_to_file_table(data / COLLECTIONS_FILE, COLLECTION, {file: image.collection for file, image in named.items()})
    return _with_images(layout, [(image.label, place) for image, place in images], project.data.classes)


def _place(image: LabelledImage, layout: Layout) -> PurePosixPath:
    return PurePosixPath(layout.folders.get(image.label, image.label), IMAGE_FOLDER, image.place)


def _with_images(layout: Layout, added: Sequence[tuple[str, PurePosixPath]], classes: Sequence[str]) -> Layout:
    images = {label: list(files) for label, files in layout.images.items()}
    for label, place in added:
        images.setdefault(label, []).append(place)
    if absent := [label for label in classes if not images.get(label)]:
        raise DataError(f"No image is of the class {', '.join(absent)}; expected some of each of {', '.join(classes)}")
    masks = {label: layout.masks.get(label, 0) for label in images}
    return replace(layout, images={label: sorted(files) for label, files in images.items()}, masks=masks)


_FROM_DICOM = "dicom-"
# What files have in the place of an identity when somebody took it out.
_NOBODY = frozenset({"", "0", "na", "n/a", "none", "unknown", "anon", "anonymous", "anonymized", "anonymised"})


def dicom_patients(data: Path, files: Sequence[PurePosixPath]) -> dict[str, str]:
    """Tell patients of DICOM files apart by a number of their own, from which nobody can come back to the PatientID.

    Args:
        data: The folder.
        files: Relative to it; others than DICOM, and those whose patient another table names, are left out.

    Returns:
        `dicom-00001` and so on by POSIX path, in the order of the paths.
    """
    known = {file for file, patient in read_patients(data).items() if not patient.startswith(_FROM_DICOM)}
    numbers: dict[tuple[str, ...], str] = {}
    found: dict[str, str] = {}
    for file in sorted(map(str, files)):
        identity = dicom_attributes((data / file).read_bytes(), ("PatientID", "IssuerOfPatientID"))
        if file not in known and identity[0].strip().casefold() not in _NOBODY:
            found[file] = numbers.setdefault(identity, f"{_FROM_DICOM}{len(numbers) + 1:05}")
    return found
