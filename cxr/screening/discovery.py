"""List every file below the inputs, named once, in one order; read lists of files; and select what this run takes."""

import csv
import hashlib
import os
import re
from array import array
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import Self

from cxr.core.errors import DataError, UsageError
from cxr.core.tabular_files import HEAD, PATH_NAMES, bare, decode_text, form_of, refuse_workbook, require_utf8
from cxr.imaging.formats import HEAD_BYTES, SUFFIXES, recognise
from cxr.screening.candidates import Candidate, Candidates, Found, Gathering, Query, Search, matches
from cxr.screening.paths import Naming, is_address, unescape
from cxr.screening.storage import Listed, store_of

_PLAIN_LINE = re.compile(r"[\w./-][\w./ -]*[\w./-]", re.ASCII)  # needs no look at the disk: most names
_BLANKS = ",;\t "  # that a spreadsheet puts behind a name, and alone into an empty row
LONGEST_NAME = 1 << 15  # bytes of a path, of any system
LIST_COLUMNS = ("path", "status", "reason")  # what a table of cxr-batch, and a list that its page saves, begin with


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


def read_names(data: bytes, name: str, root: Path | None = None) -> Iterator[str]:
    """Give the names of a list: separated by NUL where it has one (`find -print0`), else one a line; or of a table.

    Of lines, what other programs put around a name is taken away where no file is called so: blanks, quotation marks
    (`Copy as path` of Windows), separators and the columns behind them; and backslashes may stand for slashes. Left out
    are empty lines, and those that begin with `#` and name neither a file nor an image. A first line that names a
    column of files makes it a table, of which all other columns are left aside.

    Args:
        data: Of the list, in an encoding that `cxr.core.tabular_files` tells; a line not in UTF-8 must name a file.
        name: What sentences call it.
        root: What relative names of a table of cxr-batch start from; None: the working directory.

    Raises:
        DataError: It is no list of names.
    """
    refuse_workbook(data, name)
    picture = recognise(data[:HEAD_BYTES]) if b"\0" in data else None
    if picture is not None:
        raise DataError(f"{name} is a picture ({picture}), and no list; give it without --files-from")
    form = form_of(data[:HEAD])
    is_utf8 = form.codec == "utf-8"
    if is_utf8 and b"\0" in data:
        yield from (os.fsdecode(item) for item in data.split(b"\0") if item)
        return
    lines = (data if is_utf8 else decode_text(data, name).encode()).splitlines()[bool(form.preface) :]
    first = 2 if form.preface else 1
    header = _header(lines, form.separator)
    if header:
        yield from _names_of_table(lines, header, first, name, form.separator, root)
        return
    for number, line in enumerate(lines, start=first):
        if len(line) > LONGEST_NAME:
            raise DataError(f"{name}, line {number}, has {len(line):,} bytes; expected the name of one file a line")
        for meant in _meant(os.fsdecode(line), form.separator):
            if not meant.isprintable() and not os.path.lexists(meant):
                require_utf8(line, number, name)
            yield meant


def _header(lines: Sequence[bytes], separator: str) -> list[str]:
    """Return the names of the columns of a table; none of a list."""
    first = os.fsdecode(lines[0]) if lines else ""
    names = [bare(cell).lower().replace(" ", "_") for cell in _cells(bare(first), separator)]
    return [] if os.path.lexists(first) or not set(PATH_NAMES) & set(names) else names


def _cells(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), None) or [""]


def _names_of_table(
    lines: Sequence[bytes], header: Sequence[str], first: int, name: str, separator: str, root: Path | None
) -> Iterator[str]:
    """Give the cells of the first column, or else of the first other one, that is called like one of files."""
    place = next(number for number, column in enumerate(header) if column in PATH_NAMES)
    is_own = tuple(header[: len(LIST_COLUMNS)]) == LIST_COLUMNS
    for number, line in enumerate(lines[1:], start=first + 1):
        cell = next(islice(_cells(os.fsdecode(line), separator), place, None), "")
        if not cell.isprintable() and not os.path.lexists(cell):
            require_utf8(line, number, name)
        seen = bare(cell)
        if is_own and seen:
            yield _below(root, unescape(cell))
        elif seen and not _is_comment(seen):
            yield next(filter(os.path.lexists, (cell, seen, unescape(seen), seen.replace("\\", "/"))), seen)


def _below(root: Path | None, name: str) -> str:
    return name if root is None or is_address(name) else str(root / name)  # an absolute name stays


def _is_comment(name: str) -> bool:
    return name.startswith("#") and not os.path.lexists(name) and PurePath(name).suffix.lower() not in SUFFIXES


def _meant(line: str, separator: str) -> list[str]:
    """Return the first spelling of a line of a list that there is a file of, or else those of its cells that there are.

    Where there is none of either, the likeliest; nothing for a line that names no file.
    """
    if _PLAIN_LINE.fullmatch(line):
        return [line]
    spellings = _spellings(line)
    there = next(filter(os.path.lexists, spellings), None)
    if there is not None:
        return [there]
    cells = [bare(cell).replace("\\", "/") for cell in _cells(bare(line), separator)]
    if os.path.isfile(cells[0]):  # noqa: PTH113  the next may be the label
        return list(filter(os.path.isfile, cells))
    likeliest = spellings[-2]
    return [likeliest] if likeliest and not _is_comment(likeliest) else []


def _spellings(line: str) -> tuple[str, ...]:
    seen = bare(line)
    name = _unquoted(seen)
    return line, seen, name, _unquoted(seen.rstrip(_BLANKS)), name.replace("\\", "/")


def _unquoted(text: str) -> str:
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1].replace('""', '"') if is_quoted else text
