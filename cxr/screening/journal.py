"""The append-only journal beside the results: one line a file, so that a run can go on from wherever it was ended.

A line is eight hexadecimal digits of CRC-32, a space, and a JSON object. The first one is the header. A line that a
dying machine tore or garbled is as if it were not there: its file is screened again.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator
from io import FileIO
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zlib import crc32

from cxr.errors import OutputError, ResumeError
from cxr.files import JsonObject, whole_file

FORMAT = "cxr-batch journal 1"
SYNC_SECONDS = 5.0  # how much a power failure may cost; killing the process costs nothing that was appended


class Journal:
    """A journal opened for appending and for reading back. The caller holds the lock of the output."""

    def __init__(self, path: Path) -> None:
        """Open an existing journal; what a torn last line left is cut off."""
        self.path = path
        self._end = _cut_torn_line(path)
        self._writer = path.open("r+b", buffering=0)
        self._reader = path.open("rb")
        self._synced = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        self._reader.close()

    def append(self, records: Iterable[JsonObject]) -> list[int]:
        """Append records and return where each one starts, in bytes.

        Raises:
            OutputError: The disk is full or gone; what was appended before can be gone on from.
        """
        lines = [_line(record) for record in records]
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

    def record_at(self, position: int) -> JsonObject:
        """Read back the record that starts at `position`."""
        self._reader.seek(position)
        record = _parsed(self._reader.readline())
        assert record is not None, f"{self.path} changed while it was open"
        return record

    def records(self) -> Iterator[tuple[int, JsonObject]]:
        """Give every readable record after the header with its position."""
        self._reader.seek(0)
        position = len(self._reader.readline())
        self._reader.seek(position)
        for line in iter(self._reader.readline, b""):
            record = _parsed(line)
            if record is not None:
                yield position, record
            position += len(line)


def create_journal(path: Path, header: JsonObject) -> Journal:
    """Make a new journal, replacing an older one. Raises OutputError where it cannot be written."""
    try:
        with whole_file(path) as temporary:
            temporary.write_bytes(_line({"format": FORMAT} | header))
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
            header = _parsed(file.readline())
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


def _line(record: JsonObject) -> bytes:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (crc32(text), text)


def _parsed(line: bytes) -> JsonObject | None:
    digits, _, text = line.removesuffix(b"\n").partition(b" ")
    if not line.endswith(b"\n") or digits != b"%08x" % crc32(text):
        return None
    record: Any = json.loads(text)
    return record if isinstance(record, dict) else None


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
