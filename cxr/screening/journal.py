"""The append-only journal beside the results: one line a file, so that a run can go on from wherever it was ended."""

import os
import time
from collections.abc import Iterable
from io import FileIO
from itertools import accumulate
from pathlib import Path

from cxr.errors import OutputError, ResumeError
from cxr.files import JsonObject, whole_file
from cxr.processor import instructions
from cxr.screening.records import FORMAT, Records, header_line, line_of, parsed

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
