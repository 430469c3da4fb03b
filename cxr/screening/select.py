"""Which of the files found this run takes: its shard, and not more than a limit."""

import hashlib
import re
from array import array
from collections.abc import Container
from dataclasses import dataclass
from typing import Self

from cxr.errors import UsageError
from cxr.screening.candidates import Candidates


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
