"""What a run asks of the place where pictures lie, be it a local folder or an address."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from cxr.files import JsonObject
from cxr.screening.candidates import Candidate
from cxr.screening.query import Query

Stamp = tuple[int | str, ...]


class Listed(NamedTuple):
    """A file or a folder below the root: its POSIX path, whether it is a folder, and its mark, see `Candidate`."""

    relative: str
    is_folder: bool = False
    mark: str = ""


class Visitor(Protocol):
    """Whoever wants to know what lies in a store."""

    def enters(self, folder: str, *, link: bool = False) -> bool:
        """Tell whether a folder is to be searched."""

    def unlisted(self, folder: str) -> None:
        """Take a folder that cannot be listed."""

    def special(self, relative: str) -> None:
        """Take what is neither a file nor a folder."""


class Source(Protocol):
    """An opened file."""

    @property
    def stamp(self) -> Stamp:
        """What tells it from one that replaced it; empty where nothing does."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def head(self) -> bytes:
        """The first `HEAD_BYTES` bytes, fewer if it is shorter."""

    def whole(self) -> bytes:
        """Return all bytes. Raises OSError, MemoryError."""


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

    def stamp(self, candidate: Candidate) -> Stamp:
        """Return what tells the file from one that replaced it, without reading it; empty where there is none."""

    def starts(self, query: Query) -> list[Listed]:
        """Return what was named. Raises UsageError for what is not below the root."""

    def walk(self, folder: str, visitor: Visitor) -> Iterator[Listed]:
        """Give the files below a folder, in any order."""

    def is_own(self, relative: str, own: frozenset[str]) -> bool:
        """Tell whether a file is one of those that the run itself writes."""

    def is_special(self, relative: str) -> bool:
        """Tell whether a path is a pipe, a socket or a device."""

    def absolute(self, relative: str) -> str:
        """Return the whole name of a file."""

    def facts(self) -> JsonObject:
        """Return `git` and `dvc`: the revisions of what lies here, where known."""

    def stop(self) -> None:
        """End whatever waits for a connection."""


Root = Path | Store
