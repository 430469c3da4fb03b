"""Pictures in a local folder: links to files count as files, and links to folders are not followed."""

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from cxr.errors import ImageError, Reason, UsageError
from cxr.files import JsonObject
from cxr.formats import HEAD_BYTES
from cxr.processor import available_cores
from cxr.screening.candidates import Candidate
from cxr.screening.provenance import dvc_revision, git_revision
from cxr.screening.query import Query
from cxr.screening.store import Listed, Root, Stamp, Store, Visitor


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
    stamp: Stamp
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
            yield _Source(file, _stamp(about), about.st_size, file.read(HEAD_BYTES))

    def stamp(self, candidate: Candidate) -> Stamp:
        """See `Store`: size in bytes, modification and change time in ns, inode."""
        try:
            return _stamp((self.root / candidate.relative).stat())
        except OSError:
            return ()

    def starts(self, query: Query) -> list[Listed]:
        """See `Store`."""
        return [Listed(self._relative(path), path.is_dir()) for path in (*query.inputs, *query.listed)]

    def walk(self, folder: str, visitor: Visitor) -> Iterator[Listed]:
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
                        elif visitor.enters(relative, link=entry.is_symlink()):
                            waiting.append(relative)
            except OSError:
                visitor.unlisted(below)

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

    def facts(self) -> JsonObject:
        """See `Store`."""
        return {"git": git_revision(self.root), "dvc": dvc_revision(self.root)}

    def stop(self) -> None:
        """See `Store`; nothing waits."""

    def _relative(self, path: Path) -> str:
        absolute = os.path.abspath(path)  # noqa: PTH100  resolve() would follow links out of the root
        relative = os.path.relpath(absolute, self.root).replace(os.sep, "/")
        if relative == ".." or relative.startswith("../"):
            raise UsageError(f"{path} is not below {self.root}, which paths are relative to; see --root")
        return "" if relative == "." else relative


def _stamp(about: os.stat_result) -> Stamp:
    return about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere: opening it will say so in its row
        return False
