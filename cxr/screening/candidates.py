"""Files that may be images; millions of them in little memory, as bytes that become objects when they are asked for."""

import heapq
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import eq
from typing import NamedTuple, overload

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
    return SEPARATOR.join(part.encode("utf-8", "surrogateescape") for part in parts)


def _whole(record: bytes) -> Candidate:
    cell, relative, named, mark = (part.decode("utf-8", "surrogateescape") for part in record.split(SEPARATOR))
    return Candidate(cell, relative or cell, bool(named), mark)
