"""Pictures at an address, read through one of fsspec's filesystems by several threads."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from cxr.files import JsonObject
from cxr.formats import HEAD_BYTES
from cxr.processor import available_cores
from cxr.remote.listing import join, list_folders, list_links, list_pages
from cxr.remote.marks import mark_of, size_of, stamp_of
from cxr.remote.patience import Patience
from cxr.remote.turns import Turns
from cxr.screening.candidates import Candidate
from cxr.screening.query import Query
from cxr.screening.reading import MAX_BYTES
from cxr.screening.store import Listed, Stamp, Visitor

WORKERS_PER_CORE, MOST_WORKERS = 8, 32  # they wait most of the time


@dataclass(frozen=True, slots=True)
class _Source:
    stamp: Stamp
    size: int
    head: bytes
    data: bytes | None
    fetch: Callable[[], bytes]

    def whole(self) -> bytes:
        """See `Source`."""
        return self.fetch() if self.data is None else self.data


@dataclass(frozen=True, slots=True)
class FsspecStore:
    """A `Store` of a filesystem of fsspec. It can be sent to other processes, which open connections of their own.

    Attributes:
        fs: The filesystem.
        protocol: How it is called in addresses.
        base: Its path of what relative paths start from; without a slash at the end.
        address: The same for people: without credentials.
        named: What was given, relative; those with a `path` of their own, such as a presigned link, are in `paths`.
        paths: Paths of the filesystem by relative path.
        patience: How requests are tried again.
        one_at_a_time: Held while a file is opened, and read where the filesystem cannot be read by two threads.
        facts_known: Revisions, see `Store.facts`.
    """

    fs: Any
    protocol: str
    base: str
    address: str
    patience: Patience
    named: Sequence[Listed] = ()
    paths: Mapping[str, str] = field(default_factory=dict)
    one_at_a_time: AbstractContextManager[object] = field(default_factory=nullcontext)
    decoding: AbstractContextManager[object] = field(default_factory=lambda: Turns(available_cores()))
    facts_known: JsonObject = field(default_factory=lambda: {"git": None, "dvc": None})

    def __str__(self) -> str:
        return self.address

    @property
    def workers(self) -> int:
        """See `Store`."""
        return min(WORKERS_PER_CORE * available_cores(), MOST_WORKERS)

    @contextmanager
    def opened(self, candidate: Candidate, *, whole: bool) -> Iterator[_Source]:
        """See `Store`; a file that will be wanted whole costs one request."""
        path = self.path_of(candidate.relative)
        mark = candidate.mark if candidate.mark.strip() else self._mark(path)
        size = size_of(mark)
        wanted = whole and (size or 0) <= MAX_BYTES
        data = b"" if size == 0 else self._data(path, None if wanted else HEAD_BYTES)
        if wanted and size not in (None, len(data)):  # another file than was listed, or half of it
            mark = self._mark(path)
            data = self._data(path, None)
        yield _Source(
            stamp_of(mark),
            len(data) if size is None and wanted else size or 0,
            data[:HEAD_BYTES],
            data if wanted or size == 0 else None,
            lambda: self._data(path, None),
        )

    def stamp(self, candidate: Candidate) -> Stamp:
        """See `Store`: size, and checksum or time."""
        try:
            return stamp_of(candidate.mark) or stamp_of(self._mark(self.path_of(candidate.relative)))
        except OSError:
            return ()

    def starts(self, query: Query) -> list[Listed]:  # noqa: ARG002
        """See `Store`."""
        return list(self.named) or [Listed("", is_folder=True)]

    def walk(self, folder: str, visitor: Visitor) -> Iterator[Listed]:
        """See `Store`."""
        ways = {"s3": list_pages, "s3a": list_pages, "http": list_links, "https": list_links}
        way = ways.get(self.protocol, list_folders) if self.base or folder else list_folders
        return way(self.fs, self.base, folder, visitor, self.patience)

    def is_own(self, relative: str, own: frozenset[str]) -> bool:
        """See `Store`."""
        return self.absolute(relative) in own

    def is_special(self, relative: str) -> bool:  # noqa: ARG002
        """See `Store`; listings tell."""
        return False

    def absolute(self, relative: str) -> str:
        """See `Store`: the address of the file."""
        head, mark, tail = self.address.partition("::")
        return f"{head}{'' if head.endswith('/') else '/'}{relative}{mark}{tail}"

    def facts(self) -> JsonObject:
        """See `Store`."""
        return self.facts_known

    def stop(self) -> None:
        """See `Store`."""
        self.patience.stop()

    def path_of(self, relative: str) -> str:
        """Return the filesystem's path of a relative one."""
        if relative in self.paths:
            return self.paths[relative]
        if relative.startswith(f"{self.protocol}://"):  # a whole name, of a table with absolute paths
            head, mark, tail = self.absolute("").partition("::")
            relative = relative.removeprefix(head).removesuffix(f"{mark}{tail}")
        if self.protocol in ("http", "https"):
            relative = quote(relative)
        return join(self.base, relative)

    def _mark(self, path: str) -> str:
        with self.one_at_a_time:
            return self.patience.ask(lambda: mark_of(self.fs.info(path)))

    def _data(self, path: str, end: int | None) -> bytes:
        """Return the first `end` bytes of a file, or all."""
        if self.protocol == "dvc":  # its index is not for several threads, the files that it opens are
            with self.one_at_a_time:
                file = self.patience.ask(lambda: self.fs.open(path, "rb"))
            with file:
                return self.patience.ask(lambda: file.read(MAX_BYTES + 1 if end is None else end))  # type: ignore[no-any-return]
        with self.one_at_a_time:
            more = {} if end is None else {"start": 0, "end": end}
            data: bytes = self.patience.ask(lambda: self.fs.cat_file(path, **more))
        return data[:end]
