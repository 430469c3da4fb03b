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
from dataclasses import dataclass
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
    remove,
    untracked,
    write_bytes,
    write_text,
)
from cxr.core.params import DataParams, params_text, read_params, section, top_level, with_values
from cxr.dataset.prepare import PrepareParams
from cxr.dataset.release import PATIENTS_FILE, read_sources
from cxr.imaging.decode import decode
from cxr.imaging.headers import HEADER_REASONS
from cxr.ingest.archive import Limits, Listing, list_folder, unpack
from cxr.ingest.layout import Layout, find_class_folders, lay_out, move_patients_table

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
        raise DataError("DVC is not installed here; run: pip install 'cxr-batch[pipeline]', or give --no-dvc")
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
    except BaseException:
        if not os.path.lexists(work / OLD):
            discard(work)
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
    with workspace(project.root) as work:
        with guarded(source, "read", "data/ is as it was"):
            release = _stage(source, project, work, limits, track)
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


def _stage(source: Path, project: Project, work: Path, limits: Limits, track: Track) -> Staged:
    folder = source
    if not source.is_dir():
        folder = work / "unpacked"
        make_folder(folder)
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
        make_folder(target.parent)
        if movable:
            move(listing.root / old, target)
        else:
            copy_file(listing.root / old, target)


def _bring_patients(listing: Listing, layout: Layout, data: Path) -> int:
    if layout.patients is None:
        return 0
    home = layout.patients.parent
    places = {old.relative_to(home): new for old, new in layout.moves.items()}
    return move_patients_table(listing.root / layout.patients, data / PATIENTS_FILE, places)
