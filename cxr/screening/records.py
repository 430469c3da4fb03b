"""The lines of a journal: what became of a file, each.

A line is eight hexadecimal digits of CRC-32, a space, and a JSON object. The first one is the header, which names the
class of the processor that computed what follows; so does a line with nothing else, where a run went on on another. A
line that a dying machine tore or garbled is as if it were not there: its file is screened again.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zlib import crc32

from cxr.files import JsonObject
from cxr.processor import instructions

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
        """Return the classes of the processors that computed the records, see `cxr.processor.instructions`."""
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
