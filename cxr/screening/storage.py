"""The place where pictures lie: what a run asks of it, and the local folder."""

import os
import re
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import NamedTuple, Protocol

from cxr.core.errors import ImageError, Reason, UsageError
from cxr.core.process import available_cores
from cxr.imaging.formats import HEAD_BYTES
from cxr.screening.candidates import Candidate, Query, Search, is_folder

MAX_BYTES = 1 << 30  # no radiograph has as many; reading a disk image or a film to its end would fill the memory

FileVersion = tuple[int | str, ...]


class Listed(NamedTuple):
    """A file or a folder below the root: its POSIX path, whether it is a folder, and its mark, see `Candidate`."""

    relative: str
    is_folder: bool = False
    mark: str = ""


class Source(Protocol):
    """An opened file."""

    @property
    def stamp(self) -> FileVersion:
        """What tells it from one that replaced it; empty where nothing does."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def head(self) -> bytes:
        """The first `HEAD_BYTES` bytes, fewer if it is shorter."""

    def whole(self) -> bytes:
        """Return all bytes. Raises OSError, MemoryError."""


@dataclass(frozen=True, slots=True)
class GitRevision:
    """A commit, and whether the work tree has changes; None where Git could not tell within ten seconds."""

    commit: str
    changed: bool | None


Provenance = Mapping[str, object]  # what DVC says of files or of a model, as JSON: never read, only kept


@dataclass(frozen=True, slots=True)
class Revisions:
    """Of files, as far as known."""

    git: GitRevision | None = None
    dvc: Provenance | None = None


class Store(Protocol):
    """Where pictures lie, other than in a local folder; `str()` of it is its address without anything secret."""

    @property
    def workers(self) -> int:
        """Number of files to read at once."""

    @property
    def decoding(self) -> AbstractContextManager[object]:
        """Held while a file is decoded; bounds how many are at once."""

    def opened(self, candidate: Candidate, *, whole: bool) -> AbstractContextManager[Source]:
        """Open a file; `whole` says that all of it will be wanted.

        Raises:
            ImageError: It is no regular file.
            OSError: It cannot be opened.
            DataError: The connection is lost.
        """

    def stamp(self, candidate: Candidate) -> FileVersion:
        """Return what tells the file from one that replaced it, without reading it; empty where there is none."""

    def starts(self, query: Query) -> list[Listed]:
        """Return what was named. Raises UsageError for what is not below the root."""

    def walk(self, folder: str, search: Search) -> Iterator[Listed]:
        """Give the files below a folder, in any order."""

    def is_own(self, relative: str, own: frozenset[str]) -> bool:
        """Tell whether a file is one of those that the run itself writes."""

    def is_special(self, relative: str) -> bool:
        """Tell whether a path is a pipe, a socket or a device."""

    def absolute(self, relative: str) -> str:
        """Return the whole name of a file."""

    def revisions(self) -> Revisions:
        """Return the revisions of what lies here."""

    def stop(self) -> None:
        """End whatever waits for a connection."""


Root = Path | Store

_COMMIT = re.compile(r"^# branch\.oid ([0-9a-f]{40,64})$", re.MULTILINE)
_DVC_MD5 = re.compile(r"^- md5: ([0-9a-f]{32}(?:\.dir)?)$", re.MULTILINE)


def git_revision(folder: Path) -> GitRevision | None:
    """Return the commit of the work tree that `folder` lies in; None outside of one."""
    # One call says both, and takes half the time of two.
    status = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    if status is None:  # no work tree, no Git, or a status that takes too long: the commit may still be known
        commit = _git(folder, "rev-parse", "HEAD")
        return None if commit is None else GitRevision(commit, None)
    found = _COMMIT.search(status)
    changed = any(not line.startswith("#") for line in status.splitlines())
    return GitRevision(found[1], changed) if found else None


def dvc_revision(folder: Path) -> Provenance | None:
    """Return the nearest `.dvc` file that tracks `folder` or a folder above it, with its checksum; None without."""
    for tracked in (folder, *folder.parents):
        beside = tracked.parent / f"{tracked.name}.dvc"
        if beside.is_file():
            found = _DVC_MD5.search(beside.read_text(encoding="utf-8", errors="replace"))
            if found:
                return {"file": beside.name, "md5": found[1]}
        if (tracked / ".git").exists():
            break
    return None


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return None
    return done.stdout.strip()


def store_of(root: Root) -> Store:
    """Return the store that a root is, or that it stands for."""
    return LocalStore(root) if isinstance(root, Path) else root


def open_regular(path: Path) -> FileIO:
    """Open a regular file for reading, unbuffered; never waits, as opening a pipe would.

    Raises:
        ImageError: It is a pipe, a socket, a device or a folder.
        OSError: It cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ImageError(Reason.UNREADABLE, "neither a file nor a link to one")
    return FileIO(handle, "rb")


@dataclass(frozen=True, slots=True)
class _Source:
    file: FileIO
    stamp: FileVersion
    size: int
    head: bytes

    def whole(self) -> bytes:
        """See `Source`."""
        return self.head + self.file.read()


@dataclass(frozen=True, slots=True)
class LocalStore:
    """A `Store` of a local folder."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    @property
    def workers(self) -> int:
        """See `Store`."""
        return available_cores()

    @property
    def decoding(self) -> AbstractContextManager[object]:
        """See `Store`; the workers bound it."""
        return nullcontext()

    @contextmanager
    def opened(self, candidate: Candidate, *, whole: bool) -> Iterator[_Source]:  # noqa: ARG002
        """See `Store`."""
        with open_regular(self.root / candidate.relative) as file:
            about = os.fstat(file.fileno())
            yield _Source(file, _version(about), about.st_size, file.read(HEAD_BYTES))

    def stamp(self, candidate: Candidate) -> FileVersion:
        """See `Store`: size in bytes, modification and change time in ns, inode."""
        try:
            return _version((self.root / candidate.relative).stat())
        except OSError:
            return ()

    def starts(self, query: Query) -> list[Listed]:
        """See `Store`."""
        return [Listed(self._relative(path), is_folder(path)) for path in (*query.inputs, *query.listed)]

    def walk(self, folder: str, search: Search) -> Iterator[Listed]:
        """See `Store`."""
        waiting = [folder]
        while waiting:
            below = waiting.pop()
            try:
                with os.scandir(self.root / below) as entries:
                    for entry in entries:
                        relative = f"{below}/{entry.name}" if below else entry.name
                        if not _is_folder(entry):
                            yield Listed(relative)
                        elif search.enters(relative, link=entry.is_symlink()):
                            waiting.append(relative)
            except OSError:
                search.unlisted(below)

    def is_own(self, relative: str, own: frozenset[str]) -> bool:
        """See `Store`."""
        return os.path.realpath(self.root / relative) in own

    def is_special(self, relative: str) -> bool:
        """See `Store`."""
        try:
            mode = os.stat(self.root / relative).st_mode  # noqa: PTH116
        except OSError:
            return False
        return not stat.S_ISREG(mode)

    def absolute(self, relative: str) -> str:
        """See `Store`."""
        return f"{self.root.as_posix().rstrip('/')}/{relative}"

    def revisions(self) -> Revisions:
        """See `Store`."""
        return Revisions(git_revision(self.root), dvc_revision(self.root))

    def stop(self) -> None:
        """See `Store`; nothing waits."""

    def _relative(self, path: Path) -> str:
        absolute = os.path.abspath(path)  # noqa: PTH100  resolve() would follow links out of the root
        relative = os.path.relpath(absolute, self.root).replace(os.sep, "/")
        if relative == ".." or relative.startswith("../"):
            raise UsageError(f"{path} is not below {self.root}, which paths are relative to; see --root")
        return "" if relative == "." else relative


def _version(about: os.stat_result) -> FileVersion:
    return about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere: opening it will say so in its row
        return False
