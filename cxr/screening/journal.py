"""What became of each file, on the disk before anything else: one journal of checked lines, or parts of it."""

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from io import FileIO
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Self
from zlib import crc32

from cxr import __version__
from cxr.core.errors import OutputError, ResumeError
from cxr.core.files import guarded, make_folder, refused, remove, sync, write_bytes
from cxr.core.process import instructions
from cxr.core.records import as_json, from_json
from cxr.inference.model_folder import ScreeningModel
from cxr.screening.paths import Naming, PathStyle, escape
from cxr.screening.schema import SCHEMA_VERSION
from cxr.screening.tables import OutputFiles

# All that lies between a file's bytes and the plane that a network sees.
DECODER_CODE = ("core/image.py", "core/records.py", "imaging")  # files, and folders with all their modules
DECODER_LIBRARIES = ("isal", "numpy", "openvino", "pillow", "pydicom", "simplejpeg")

ANOTHER = "give another output, or start over with --overwrite"

# How a difference is told: part -> (what it is, whether its value is fit for people).
PARTS = {
    "tool": "another version of cxr-batch",
    "schema": "another version of the table",
    "models": "another model",
    "operating_points": "another operating point",
    "gate": "another gate",
    "decoder": "another decoder (its code or the version of a library)",
    "paths": "another form of paths",
    "root": "another folder that paths are relative to",
    "attributes": "other DICOM attributes",
    "any_dicom": "another setting of --any-dicom",
}


@dataclass(frozen=True, slots=True)
class NetworkPrint:
    """A network in a fingerprint: its identity, and the SHA-256 of its files."""

    model: str
    network: str
    description: str


@dataclass(frozen=True, slots=True)
class PathsPrint:
    """The form of paths, and of hashed ones the check of the key, see `Naming`."""

    style: str
    key: str | None


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a row depends on besides its file. Rows of two runs may stand in one table only where this is equal.

    Batch size, workers, threads, order and shards are not part of it: an answer does not depend on them.
    """

    tool: str
    schema: int
    models: tuple[NetworkPrint, ...]
    operating_points: tuple[str, ...]
    gate: str | None
    decoder: Mapping[str, str]
    paths: PathsPrint
    root: str
    attributes: tuple[str, ...]
    any_dicom: bool = False


def fingerprint_of(
    models: Sequence[ScreeningModel], naming: Naming, keywords: Sequence[str], *, any_dicom: bool = False
) -> Fingerprint:
    """Return that of a run; equal ones mean that equal files give equal rows."""
    hashed = naming.style is PathStyle.HASHED
    root = escape(str(naming.root))
    return Fingerprint(
        tool=__version__,
        schema=SCHEMA_VERSION,
        models=tuple(NetworkPrint(one.identity, one.network_sha256, one.description_sha256) for one in models),
        operating_points=tuple(model.operating_point for model in models),
        gate=models[0].gate.sha256 if models[0].gate else None,
        decoder=decoder(),
        paths=PathsPrint(naming.style.value, naming.key_check),
        # Without its name where names are secret.
        root=hashlib.sha256(naming.key + root.encode()).hexdigest()[:16] if hashed else root,
        attributes=tuple(keywords),
        any_dicom=any_dicom,
    )


def _modules(place: Traversable) -> list[Traversable]:
    files = [place] if place.is_file() else place.iterdir()
    return sorted((file for file in files if file.name.endswith(".py")), key=lambda file: file.name)


def decoder() -> dict[str, str]:
    """Return the digest of the decoder's code and the versions of the libraries under it."""
    code = b"".join(file.read_bytes() for name in DECODER_CODE for file in _modules(resources.files("cxr") / name))
    versions = {name: metadata.version(name) for name in DECODER_LIBRARIES}
    return {"code": hashlib.sha256(code).hexdigest()[:16]} | versions


def check_same(begun: Mapping[str, object], now: Fingerprint, journal: str, remedy: str = ANOTHER) -> None:
    """Raise ResumeError that says which parts differ between the fingerprint of a run and that of this one.

    Args:
        begun: That of `journal`, as JSON: another version of the tool may have had other parts.
        now: Of this run.
        journal: What tells of the other run, in words.
        remedy: What to do.
    """
    expected = as_json(now)
    different = [part for part in PARTS if begun.get(part) != expected[part]]
    if different:
        known = [part for part in different if part in begun] or different
        clauses = "; ".join(f"{PARTS[part]} ({_change(part, begun.get(part), expected[part])})" for part in known)
        raise ResumeError(f"{journal} was begun with {clauses}. Rows of both must not stand in one table: {remedy}")


def _change(part: str, found: object, expected: object) -> str:
    if part == "models":
        return f"then {_models(found)}, now {_models(expected)}"
    if part == "any_dicom":
        return f"then {'with' if found else 'without'} it, now {'with' if expected else 'without'}"
    if part == "gate":
        then, now = (str(gate)[:12] if gate else "none" for gate in (found, expected))
        return f"then {then}, now {now}"
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = [key for key in expected if found.get(key) != expected[key]]
        return ", ".join(f"{key} then {found.get(key)}, now {expected[key]}" for key in keys)
    if part == "operating_points" and isinstance(found, list) and isinstance(expected, list):
        return f"then {' and '.join(found)}, now {' and '.join(expected)}"
    return f"then {found}, now {expected}"


def _models(parts: object) -> str:
    if not isinstance(parts, list):
        return "none"
    return " and ".join(f"{part['model']} with description {part['description'][:12]}" for part in parts)


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


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """What became of a file.

    Attributes:
        path: The cell that names it.
        stamp: What tells it from one that replaced it, see `FileVersion`.
        cells: Its row after the path; None for a file that is no image.
    """

    path: str
    stamp: tuple[int | str, ...]
    cells: tuple[str, ...] | None = field(default=None, metadata={"absent": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """The first line: of a journal with the fingerprint of its run, of a part with its number."""

    format: str
    fingerprint: Mapping[str, object] | None = field(default=None, metadata={"absent": True})
    part: int | None = field(default=None, metadata={"absent": True})
    instructions: str


@dataclass(frozen=True, slots=True)
class _Instructions:
    """A line that says which class of processor has computed the records after it."""

    instructions: str


class Closing:
    """What is closed at the end of a `with`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except OutputError:
            if error is None:  # else that came first, and says more
                raise

    def close(self) -> None:
        """Close what is open."""
        raise NotImplementedError


class Records(Closing):
    """A file of records, opened for reading."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with guarded(path, "read"):
            self._reader = path.open("rb")

    def close(self) -> None:
        """Close the file. Raises OutputError where the system refuses that."""
        with guarded(self.path, "read"):
            self._reader.close()

    def record_at(self, position: int) -> JournalRecord:
        """Read back the record that starts at `position`."""
        with guarded(self.path, "read"):
            self._reader.seek(position)
            text = _checked(self._reader.readline())
        assert text is not None, f"{self.path} changed while it was open"
        return _record(text)

    def records(self) -> Iterator[tuple[int, JournalRecord]]:
        """Give every readable record after the header with its position."""
        with guarded(self.path, "read"):
            self._reader.seek(0)
            position = len(self._reader.readline())
            self._reader.seek(position)
            for line in iter(self._reader.readline, b""):
                text = _checked(line)
                if text is not None and not _ELSEWHERE.match(line):
                    yield position, _record(text)
                position += len(line)

    def instructions(self) -> set[str]:
        """Return the classes of the processors that computed the records, see `cxr.core.process.instructions`."""
        with guarded(self.path, "read"):
            self._reader.seek(0)
            lines = [self._reader.readline(), *filter(_ELSEWHERE.match, self._reader)]
        return {json.loads(text)["instructions"] for line in lines if (text := _checked(line)) is not None}


def _record(text: bytes) -> JournalRecord:
    form = json.loads(text)
    cells = form.get("cells")
    return JournalRecord(form["path"], tuple(form["stamp"]), None if cells is None else tuple(cells))


def _line(record: object) -> bytes:
    text = json.dumps(as_json(record), ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (crc32(text), text)


def _checked(line: bytes) -> bytes | None:
    """Return the record of a line, as JSON; None where it is torn or garbled."""
    digits, _, text = line.removesuffix(b"\n").partition(b" ")
    return text if line.endswith(b"\n") and digits == b"%08x" % crc32(text) else None


KEPT = "what was done so far is kept"
SYNC_SECONDS = 5.0  # how much a power failure may cost; killing the process costs nothing that was appended


class Journal(Records):
    """A journal opened for appending and for reading back. The caller holds the lock of the output."""

    def __init__(self, path: Path) -> None:
        """Open an existing journal; what a torn last line left is cut off."""
        with guarded(path):
            self._end = _cut_torn_line(path)
            self._writer = path.open("r+b", buffering=0)
        super().__init__(path)
        self._synced = time.monotonic()
        if instructions() not in self.instructions():
            self._append([_line(_Instructions(instructions()))])

    def close(self) -> None:
        """Close the file. Raises OutputError where the disk has lost what it took."""
        super().close()
        with guarded(self.path, kept=KEPT):
            self._writer.close()

    def append(self, records: Iterable[JournalRecord]) -> list[int]:
        """Append records and return where each one starts, in bytes.

        Raises:
            OutputError: The disk is full or gone; what was appended before can be gone on from.
        """
        return self._append([_line(record) for record in records])

    def sync(self) -> None:
        """Wait until everything appended is on the disk. Raises OutputError where it is not."""
        with guarded(self.path, kept=KEPT):
            sync(self._writer.fileno())
        self._synced = time.monotonic()

    def _append(self, lines: Sequence[bytes]) -> list[int]:
        starts = list(accumulate(map(len, lines), initial=self._end))
        with guarded(self.path, kept=KEPT):
            self._writer.seek(self._end)
            _write_all(self._writer, b"".join(lines))
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self.sync()
        self._end = starts[-1]
        return starts[:-1]


def create_journal(path: Path, fingerprint: Fingerprint) -> Journal:
    """Make a new journal of a run, replacing an older one. Raises OutputError where it cannot be written."""
    write_bytes(path, _line(_Header(format=FORMAT, fingerprint=as_json(fingerprint), instructions=instructions())))
    return Journal(path)


def read_fingerprint(path: Path) -> Mapping[str, object] | None:
    """Return the fingerprint that the journal at `path` was begun with, as JSON; None where there is no file.

    Raises:
        ResumeError: The file is not a journal of this format.
    """
    try:
        with path.open("rb") as file:
            text = _checked(file.readline())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refused(error, path, "read") from error
    try:
        header = from_json(_Header, json.loads(text or b"null"))
    except ValueError:
        header = None
    if header is None or header.format != FORMAT or header.fingerprint is None:
        raise ResumeError(
            f"{path} is not a journal that this version of cxr-batch can go on from; move it away, or start over with "
            f"--overwrite"
        )
    return header.fingerprint


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


def write_part(folder: Path, number: int, records: Iterable[JournalRecord]) -> list[int]:
    """Write a part and return the position of each record; writing it again changes nothing.

    Raises:
        OutputError: It cannot be written; there is no half of it.
    """
    header = _Header(format=FORMAT, part=number, instructions=instructions())
    lines = [_line(header), *map(_line, records)]
    write_bytes(folder / f"{number:08d}{SUFFIX}", b"".join(lines))
    return [number * SPAN + place for place in accumulate(map(len, lines))][:-1]


def begin_parts(folder: Path, fingerprint: Fingerprint) -> "Parts":
    """Make a new folder of parts in place of an older one. Raises OutputError where it cannot be written."""
    remove_parts(folder)
    make_folder(folder)
    create_journal(folder / HEADER_FILE, fingerprint).close()
    return Parts(folder)


def remove_parts(folder: Path) -> None:
    """Remove a folder of parts, if there is one. Raises OutputError where it is something else, which stays."""
    if not folder.exists():
        return
    with guarded(folder, "read"):
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name}
    foreign = [name for name in names if name not in (HEADER_FILE, NETWORKS) and not fnmatchcase(name, f"*{SUFFIX}*")]
    foreign = [name for name in foreign if not fnmatchcase(name, f"*{TRIES}")]
    if foreign:
        raise OutputError(f"{folder} holds {min(foreign)}, which cxr-batch did not write; give another output")
    with guarded(folder, "remove"):
        shutil.rmtree(folder)


class Parts(Closing):
    """A folder of parts, opened for adding and for reading back. The caller holds the lock of the output."""

    def __init__(self, folder: Path) -> None:
        """Open an existing folder; what a writer that died left behind is removed."""
        self.folder = folder
        for torn in (*folder.glob(f".*{SUFFIX}.*.tmp"), *folder.glob(f"*{TRIES}")):
            remove(torn)
        self._open: tuple[int, Records] | None = None

    @property
    def next_number(self) -> int:
        """Of a part that is not there yet."""
        return max(self._numbers(), default=-1) + 1

    def append(self, records: Iterable[JournalRecord]) -> list[int]:
        """Add a part, see `write_part`."""
        return write_part(self.folder, self.next_number, records)

    def sync(self) -> None:
        """Nothing is kept back: each part was renamed when it was whole."""

    def record_at(self, position: int) -> JournalRecord:
        """Read back the record at `position`; the part of the last one stays open."""
        number, place = divmod(position, SPAN)
        if self._open is None or self._open[0] != number:
            self.close()
            self._open = (number, Records(self._path(number)))
        return self._open[1].record_at(place)

    def records(self) -> Iterator[tuple[int, JournalRecord]]:
        """Give every record with its position, later parts last."""
        for number in self._numbers():
            with Records(self._path(number)) as part:
                for place, record in part.records():
                    yield number * SPAN + place, record

    def instructions(self) -> set[str]:
        """Return the classes of the processors that computed the records, see `cxr.core.process.instructions`."""
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
