"""What a run is about: the query, and the candidates that it found, sorted in little memory."""

import heapq
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import accumulate
from operator import eq
from pathlib import Path
from typing import NamedTuple, overload

from cxr.core.errors import UsageError

RUN = 1 << 16  # records that are sorted at once
SEPARATOR = b"\0"  # no name of a file has it, and it sorts before everything else


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be an image: what it contains decides, when it is read.

    Attributes:
        cell: Its name in the table.
        relative: POSIX path below the root, surrogate escapes for bytes that are not UTF-8.
        named: Whether the user named the file itself: then it gets a row, whatever it is.
        mark: What a remote listing said of it: bytes, a space, checksum or time, each empty where unknown. One text,
            because a million of them are kept.
    """

    cell: str
    relative: str
    named: bool = False
    mark: str = ""


class Gathering:
    """Candidates in any order, packed and sorted some at a time."""

    def __init__(self) -> None:
        self._new: list[bytes] = []
        self._runs: list[_Run] = []

    def add(self, candidate: Candidate) -> None:
        """Take one."""
        self._new.append(_packed(candidate))
        if len(self._new) == RUN:
            self._close_run()

    def sorted(self) -> "Candidates":
        """Return all of them; of several with one cell, one that was taken."""
        self._close_run()
        order, last = array("Q"), None
        for record, number in heapq.merge(*(run.numbered(RUN * one) for one, run in enumerate(self._runs))):
            cell = record[: record.index(SEPARATOR)]
            if cell != last:
                order.append(number)
            last = cell
        return Candidates(self._runs, order)

    def _close_run(self) -> None:
        if self._new:
            self._new.sort()
            self._runs.append(_Run(b"".join(self._new), array("Q", accumulate(map(len, self._new)))))
            self._new = []


class Candidates(Sequence[Candidate]):
    """Candidates sorted by cell, each cell once; an object lives as long as somebody holds it."""

    def __init__(self, runs: Sequence["_Run"] = (), order: Sequence[int] = ()) -> None:
        """Take sorted runs, and the numbers of their records in order; see `Gathering`."""
        self._runs, self._order = runs, order

    def taking(self, numbers: "array[int]") -> "Candidates":
        """Return those of these numbers, in that order; the names are shared."""
        return Candidates(self._runs, array("Q", (self._order[number] for number in numbers)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Candidates):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Candidate]:
        return map(self._at, self._order)

    @overload
    def __getitem__(self, number: int) -> Candidate: ...

    @overload
    def __getitem__(self, number: slice) -> list[Candidate]: ...

    def __getitem__(self, number: int | slice) -> Candidate | list[Candidate]:
        if isinstance(number, slice):
            return [self._at(one) for one in self._order[number]]
        return self._at(self._order[number])

    def _at(self, number: int) -> Candidate:
        run, place = divmod(number, RUN)
        return _whole(self._runs[run].record(place))


class _Run(NamedTuple):
    """Sorted records: their bytes, and where each one ends."""

    data: bytes
    ends: "array[int]"

    def record(self, place: int) -> bytes:
        return self.data[self.ends[place - 1] if place else 0 : self.ends[place]]

    def numbered(self, first: int) -> Iterator[tuple[bytes, int]]:
        return ((self.record(place), first + place) for place in range(len(self.ends)))


def _packed(candidate: Candidate) -> bytes:
    """Return a candidate as bytes, which sort as cells do."""
    relative = "" if candidate.relative == candidate.cell else candidate.relative
    parts = (candidate.cell, relative, "named" if candidate.named else "", candidate.mark)
    return SEPARATOR.join(part.encode("utf-8", "surrogatepass") for part in parts)


def _whole(record: bytes) -> Candidate:
    cell, relative, named, mark = (part.decode("utf-8", "surrogatepass") for part in record.split(SEPARATOR))
    return Candidate(cell, relative or cell, bool(named), mark)


# Why a folder was not searched.
LINK, HIDDEN, EXCLUDED, UNREADABLE, NOT_RECURSIVE = "link", "hidden", "excluded", "unreadable", "not_recursive"


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for.

    Attributes:
        inputs: Folders and files, as given; each must exist.
        listed: Files and folders from a list; one that is absent becomes a file that cannot be read.
        recursive: Whether folders in folders are searched.
        include: Patterns of `fnmatch`, case-sensitive, `*` crosses `/`, of which a file's relative path or name must
            match one; none means every file.
        exclude: Patterns of which a file's or folder's relative path or name must match none.
        own: Real paths of files that the run itself writes: neither screened nor counted.
    """

    inputs: Sequence[Path]
    listed: Sequence[Path] = ()
    recursive: bool = True
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    own: frozenset[str] = frozenset()


@dataclass(slots=True)
class Found:
    """What lies below the inputs.

    Attributes:
        candidates: Sorted by cell, each file once.
        hidden: Number of files whose name starts with a dot.
        excluded: Number of files that --include or --exclude leave aside.
        special: Cells of pipes, sockets and devices.
        folders: Cells of folders that were not searched, with the reason.
    """

    candidates: Candidates = field(default_factory=Candidates)
    hidden: int = 0
    excluded: int = 0
    special: list[str] = field(default_factory=list)
    folders: list[tuple[str, str]] = field(default_factory=list)


class Search:
    """Which folders of a store are searched; notes in `found` those that are not, and what is neither file nor folder.

    Attributes:
        searched: Relative paths of the folders that are searched, or were.
    """

    def __init__(self, query: Query, found: Found, cell: Callable[[str], str], is_own: Callable[[str], bool]) -> None:
        """Begin.

        Args:
            query: What to look for.
            found: Where what is left aside is noted.
            cell: Gives the name in the table of a relative path.
            is_own: Tells whether a folder is one that the run itself writes.
        """
        self._query, self._found, self._cell, self._is_own = query, found, cell, is_own
        self.searched: set[str] = set()

    def enters(self, folder: str, *, link: bool = False) -> bool:
        """Tell whether a folder is to be searched."""
        if folder in self.searched or self._is_own(folder):
            return False
        why = self._why_not(folder, link=link)
        if why:
            self._found.folders.append((self._cell(folder), why))
            return False
        self.searched.add(folder)
        return True

    def unlisted(self, folder: str) -> None:
        """Take a folder that cannot be listed."""
        self._found.folders.append((self._cell(folder or "."), UNREADABLE))

    def special(self, relative: str) -> None:
        """Take what is neither a file nor a folder."""
        self._found.special.append(self._cell(relative))

    def _why_not(self, folder: str, *, link: bool) -> str:
        if folder.rpartition("/")[2].startswith("."):
            return HIDDEN
        if matches(folder, self._query.exclude):
            return EXCLUDED
        if link:
            return LINK
        return "" if self._query.recursive else NOT_RECURSIVE


def matches(relative: str, patterns: Sequence[str]) -> bool:
    """Tell whether a relative path, or the name at its end, matches one of the patterns of a `Query`."""
    name = relative.rpartition("/")[2]
    return any(fnmatchcase(relative, pattern) or fnmatchcase(name, pattern) for pattern in patterns)


def is_folder(path: Path) -> bool:
    """Tell a folder from a file, and from a name that the system refuses, such as one too long: its row says so."""
    return os.path.isdir(path)  # noqa: PTH112


def common_root(paths: Sequence[Path]) -> Path:
    """Return the folder that relative paths start from: the only folder given, else the deepest that holds all.

    Raises:
        UsageError: There is no such folder, as with two Windows drives.
    """
    folders = [os.path.abspath(path if is_folder(path) else path.parent) for path in paths]  # noqa: PTH100  keeps links
    try:
        return Path(os.path.commonpath(folders))
    except ValueError as error:
        raise UsageError("the inputs have no folder in common; screen them in separate runs") from error
