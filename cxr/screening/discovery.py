"""List every file below the inputs, named once, in one order; and select what this run takes."""

import hashlib
import re
from array import array
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cxr.core.errors import UsageError
from cxr.screening.candidates import Candidate, Candidates, Found, Gathering, Query, Search, matches
from cxr.screening.paths import Naming
from cxr.screening.storage import Listed, store_of


def discover(query: Query, naming: Naming) -> Found:
    """List the files below the inputs; a link to a file counts as a file, a link to a folder is not entered."""
    walk = _Walk(query, naming)
    starts = walk.store.starts(query)
    for start in starts:
        if not start.is_folder:  # first, so that a file that was named counts as named wherever else it is found
            walk.take_file(start, named=True)
    for start in starts:
        if start.is_folder:
            walk.take_folder(start.relative)
    found = walk.found
    found.candidates = walk.taken.sorted()
    found.special.sort()
    found.folders.sort()
    return found


class _Walk:
    """Decides which files are taken."""

    def __init__(self, query: Query, naming: Naming) -> None:
        self.query, self.naming, self.found = query, naming, Found()
        self.store = store_of(naming.root)
        self.search = Search(query, self.found, naming.cell, self._is_own)
        self.taken = Gathering()
        self.named: set[str] = set()
        self.own_names = {Path(path).name for path in query.own}

    def take_folder(self, relative: str) -> None:
        if relative in self.search.searched:  # inputs may overlap
            return
        self.search.searched.add(relative)
        for listed in self.store.walk(relative, self.search):
            self.take_file(listed, named=False)

    def take_file(self, listed: Listed, *, named: bool) -> None:
        relative = listed.relative
        name = relative.rpartition("/")[2]
        cell = self.naming.cell(relative)
        if cell in self.named or self._is_own(relative):
            return
        if name.startswith(".") and not named:
            self.found.hidden += 1
        elif self._left_out(relative):
            self.found.excluded += 1
        elif self.store.is_special(relative):
            self.found.special.append(cell)
        else:
            self.taken.add(Candidate(cell, relative, named, listed.mark))
            if named:
                self.named.add(cell)

    def _is_own(self, relative: str) -> bool:
        return relative.rpartition("/")[2] in self.own_names and self.store.is_own(relative, self.query.own)

    def _left_out(self, relative: str) -> bool:
        included = not self.query.include or matches(relative, self.query.include)
        return not included or matches(relative, self.query.exclude)


@dataclass(frozen=True, slots=True)
class Shard:
    """The `number`-th of `of` parts, counted from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `i/n`. Raises UsageError for anything else."""
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise UsageError(f"--shard {text}: expected i/n with i from 1 to n, such as 1/3, 2/3 and 3/3")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def has(self, cell: str) -> bool:
        """Tell whether a file belongs here: by its name alone, so that a file that appears later moves no other."""
        return int.from_bytes(hashlib.sha256(cell.encode()).digest()[:8]) % self.of == self.number - 1


@dataclass(frozen=True, slots=True)
class Selection:
    """What a run takes.

    Attributes:
        candidates: In the order of the table.
        other_shards: Number of files left to other shards.
        beyond_limit: Number of files left aside by the limit.
        unchanged: Number of files left aside because they are as they were.
        listing: SHA-256 over the names of all files found, before shard and limit; shards of one run share it.
    """

    candidates: Candidates
    other_shards: int
    beyond_limit: int
    listing: str
    unchanged: int = 0


def select(found: Candidates, shard: Shard | None, limit: int | None, unchanged: Container[str] = ()) -> Selection:
    """Take the candidates of a shard that are not `unchanged`, by their cells, and of those the first `limit`."""
    listing, fresh, own = hashlib.sha256(), 0, array("Q")
    for number, candidate in enumerate(found):
        listing.update(candidate.cell.encode() + b"\n")
        if candidate.cell not in unchanged:
            fresh += 1
            if shard is None or shard.has(candidate.cell):
                own.append(number)
    taken = own[:limit]
    return Selection(
        candidates=found.taking(taken),
        other_shards=fresh - len(own),
        beyond_limit=len(own) - len(taken),
        listing=listing.hexdigest(),
        unchanged=len(found) - fresh,
    )
