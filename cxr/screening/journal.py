"""What became of each file, on the disk before anything else: one journal of checked lines, or parts of it."""

import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from io import FileIO
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zlib import crc32

from cxr.core.errors import OutputError, ResumeError
from cxr.core.files import JsonObject, whole_file
from cxr.core.processor import instructions
from cxr.screening.output import OutputFiles


def refuse_leftovers(files: OutputFiles, other: Path, engine: str) -> None:
    """Refuse to begin beside what another engine has begun, or beside a table that nothing tells about.

    Args:
        files: Of the output.
        other: Where the other engine keeps what it has done.
        engine: Its name.

    Raises:
        ResumeError: It is so.
    """
    if other.exists():
        raise ResumeError(
            f"{files.results} was begun with --engine {engine}, see {other.name}: go on with that, or start over with "
            f"--overwrite"
        )
    if files.results.exists():
        raise ResumeError(
            f"{files.results} exists, but {files.journal.name}, which tells how it was made, does not: give another "
            f"output, or replace it with --overwrite"
        )


FORMAT = "cxr-batch journal 2"
_ELSEWHERE = re.compile(rb'[0-9a-f]{8} \{"instructions":')


class Closing:
    """What is closed at the end of a `with`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open."""
        raise NotImplementedError


class Records(Closing):
    """A file of records, opened for reading."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = path.open("rb")

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def record_at(self, position: int) -> JsonObject:
        """Read back the record that starts at `position`."""
        self._reader.seek(position)
        record = parsed(self._reader.readline())
        assert record is not None, f"{self.path} changed while it was open"
        return record

    def records(self) -> Iterator[tuple[int, JsonObject]]:
        """Give every readable record after the header with its position."""
        self._reader.seek(0)
        position = len(self._reader.readline())
        self._reader.seek(position)
        for line in iter(self._reader.readline, b""):
            record = parsed(line)
            if record is not None and "path" in record:
                yield position, record
            position += len(line)

    def instructions(self) -> set[str]:
        """Return the classes of the processors that computed the records, see `cxr.core.processor.instructions`."""
        self._reader.seek(0)
        lines = [self._reader.readline(), *filter(_ELSEWHERE.match, self._reader)]
        return {str(record["instructions"]) for record in map(parsed, lines) if record is not None}


def header_line(**parts: Any) -> bytes:
    """Return the first line of a file whose records are computed on this processor."""
    return line_of({"format": FORMAT} | parts | {"instructions": instructions()})


def line_of(record: JsonObject) -> bytes:
    """Return a record as a line."""
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (crc32(text), text)


def parsed(line: bytes) -> JsonObject | None:
    """Return the record of a line; None where it is torn or garbled."""
    digits, _, text = line.removesuffix(b"\n").partition(b" ")
    if not line.endswith(b"\n") or digits != b"%08x" % crc32(text):
        return None
    record: Any = json.loads(text)
    return record if isinstance(record, dict) else None


SYNC_SECONDS = 5.0  # how much a power failure may cost; killing the process costs nothing that was appended


class Journal(Records):
    """A journal opened for appending and for reading back. The caller holds the lock of the output."""

    def __init__(self, path: Path) -> None:
        """Open an existing journal; what a torn last line left is cut off."""
        self._end = _cut_torn_line(path)
        self._writer = path.open("r+b", buffering=0)
        super().__init__(path)
        self._synced = time.monotonic()
        if instructions() not in self.instructions():
            self.append([{"instructions": instructions()}])

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
        super().close()

    def append(self, records: Iterable[JsonObject]) -> list[int]:
        """Append records and return where each one starts, in bytes.

        Raises:
            OutputError: The disk is full or gone; what was appended before can be gone on from.
        """
        lines = [line_of(record) for record in records]
        starts = list(accumulate(map(len, lines), initial=self._end))
        try:
            self._writer.seek(self._end)
            _write_all(self._writer, b"".join(lines))
            if time.monotonic() - self._synced > SYNC_SECONDS:
                self.sync()
        except OSError as error:
            raise OutputError(
                f"cannot write {self.path}: {error.strerror}; what was done so far is kept: make room and run the "
                f"same command again"
            ) from error
        self._end = starts[-1]
        return starts[:-1]

    def sync(self) -> None:
        """Wait until everything appended is on the disk."""
        os.fsync(self._writer.fileno())
        self._synced = time.monotonic()


def create_journal(path: Path, header: JsonObject) -> Journal:
    """Make a new journal, replacing an older one. Raises OutputError where it cannot be written."""
    try:
        with whole_file(path) as temporary:
            temporary.write_bytes(header_line(**header))
        return Journal(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; choose another folder for the results") from error


def read_header(path: Path) -> JsonObject | None:
    """Return the header of the journal at `path`, None where there is no file.

    Raises:
        ResumeError: The file is not a journal of this format.
    """
    try:
        with path.open("rb") as file:
            header = parsed(file.readline())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResumeError(f"{path} cannot be read: {error.strerror}") from error
    if header is None or header.get("format") != FORMAT:
        raise ResumeError(
            f"{path} is not a journal that this version of cxr-batch can go on from; move it away, or start over with "
            f"--overwrite"
        )
    return header


def _write_all(file: FileIO, data: bytes) -> None:
    """Write all of `data`; a disk that is nearly full takes a part without an error first."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _cut_torn_line(path: Path) -> int:
    """Cut off what follows the last line end; return the length that stays."""
    with path.open("r+b") as file:
        end = position = file.seek(0, os.SEEK_END)
        while position > 0:
            start = max(0, position - 65536)
            file.seek(start)
            found = file.read(position - start).rfind(b"\n")
            position = start + found + 1 if found >= 0 else start
            if found >= 0:
                break
        if position < end:
            file.truncate(position)
    return position


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
        """Return the classes of the processors that computed the records, see `cxr.core.processor.instructions`."""
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
