"""What many processes did of one run: a folder of parts beside the results, each a file that appears whole.

A part is as a journal: a header, then a line a file. A position tells the part and the place in it, so that the table
is put together from parts as it is from one journal, with one row in memory.
"""

import shutil
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from itertools import accumulate
from pathlib import Path

from cxr.errors import OutputError
from cxr.files import JsonObject, whole_file
from cxr.screening.journal import create_journal
from cxr.screening.records import Closing, Records, header_line, line_of

HEADER_FILE, SUFFIX, TRIES = "header.journal", ".part", ".tries"
NETWORKS = "networks"  # folder of the networks that workers load, by number
SPAN = 1 << 40  # bytes that a part may have; a position is number * SPAN + place


def write_part(folder: Path, number: int, records: Iterable[JsonObject]) -> list[int]:
    """Write a part and return the position of each record; writing it again changes nothing.

    Raises:
        OutputError: It cannot be written; there is no half of it.
    """
    lines = [header_line(part=number), *map(line_of, records)]
    try:
        with whole_file(folder / f"{number:08d}{SUFFIX}") as temporary:
            temporary.write_bytes(b"".join(lines))
    except OSError as error:
        raise OutputError(
            f"cannot write {folder}: {error.strerror}; what was done so far is kept: make room and run the same "
            f"command again"
        ) from error
    return [number * SPAN + place for place in accumulate(map(len, lines))][:-1]


def begin_parts(folder: Path, header: JsonObject) -> "Parts":
    """Make a new folder of parts in place of an older one. Raises OutputError where it cannot be written."""
    remove_parts(folder)
    try:
        folder.mkdir()
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}; choose another folder for the results") from error
    create_journal(folder / HEADER_FILE, header).close()
    return Parts(folder)


def remove_parts(folder: Path) -> None:
    """Remove a folder of parts, if there is one. Raises OutputError where it is something else, which stays."""
    if not folder.exists():
        return
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name}
    foreign = [name for name in names if name not in (HEADER_FILE, NETWORKS) and not fnmatchcase(name, f"*{SUFFIX}*")]
    foreign = [name for name in foreign if not fnmatchcase(name, f"*{TRIES}")]
    if foreign:
        raise OutputError(f"{folder} holds {min(foreign)}, which cxr-batch did not write; give another output")
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise OutputError(f"cannot remove {folder}: {error.strerror}; choose another folder for the results") from error


class Parts(Closing):
    """A folder of parts, opened for adding and for reading back. The caller holds the lock of the output."""

    def __init__(self, folder: Path) -> None:
        """Open an existing folder; what a writer that died left behind is removed."""
        self.folder = folder
        for torn in (*folder.glob(f".*{SUFFIX}.*.tmp"), *folder.glob(f"*{TRIES}")):
            torn.unlink(missing_ok=True)
        self._open: tuple[int, Records] | None = None

    @property
    def next_number(self) -> int:
        """Of a part that is not there yet."""
        return max(self._numbers(), default=-1) + 1

    def append(self, records: Iterable[JsonObject]) -> list[int]:
        """Add a part, see `write_part`."""
        return write_part(self.folder, self.next_number, records)

    def sync(self) -> None:
        """Nothing is kept back: each part was renamed when it was whole."""

    def record_at(self, position: int) -> JsonObject:
        """Read back the record at `position`; the part of the last one stays open."""
        number, place = divmod(position, SPAN)
        if self._open is None or self._open[0] != number:
            self.close()
            self._open = (number, Records(self._path(number)))
        return self._open[1].record_at(place)

    def records(self) -> Iterator[tuple[int, JsonObject]]:
        """Give every record with its position, later parts last."""
        for number in self._numbers():
            with Records(self._path(number)) as part:
                for place, record in part.records():
                    yield number * SPAN + place, record

    def instructions(self) -> set[str]:
        """Return the classes of the processors that computed the records, see `cxr.processor.instructions`."""
        found: set[str] = set()
        for number in self._numbers():
            with Records(self._path(number)) as part:
                found |= part.instructions()
        return found

    def close(self) -> None:
        """Close the part that is open."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}{SUFFIX}"

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self.folder.glob(f"*{SUFFIX}"))
