"""`--copy-to`, `--link-to`: the files of a finished table in folders by decision, beside a list of what lies where."""

import hashlib
import os
import unicodedata
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from cxr.core.errors import ImageError
from cxr.core.files import guarded, make_folder, sha256_of, start_of, whole_file, write_bytes
from cxr.screening.candidates import Candidate
from cxr.screening.discovery import Shard
from cxr.screening.engine import Run
from cxr.screening.paths import escape
from cxr.screening.read import prefetch, read_again
from cxr.screening.schema import ModelColumns, Status
from cxr.screening.storage import store_of
from cxr.screening.tables import Column, Format, OutputFiles, read_table, write_table

_COLUMNS = (Column("file"), Column("path"), Column("sha256"), Column("because"))
_AHEAD = 8  # files that are read before they are written
_DIGITS = 8  # of the digest of its path, in the name of a file whose own is taken
_LONGEST = 240  # bytes of a name; disks take 255, and the one under which a file is written is longer than its own

Record = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sorted:
    """What came of it.

    Attributes:
        listed: The list.
        counts: Files by folder.
        there: How many of them were there before.
        renamed: How many have another name than their own.
        left: Why others have no place, and how many.
        older: Files in the folders that this run did not put there: an earlier one did, or somebody. As in the list.
    """

    listed: Path
    counts: Counter[str]
    there: int
    renamed: int
    left: Counter[str]
    older: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A file, its own name, and where it is to lie: the first of `targets` that no other file has."""

    record: Record
    candidate: Candidate
    name: str
    targets: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """Where a file goes; without `content` it is there already, and `because` says why it cannot go."""

    wanted: _Wanted
    target: Path
    content: bytes | None = None
    because: str = ""


def folder_names(head: ModelColumns) -> tuple[str, ...]:
    """Return the names of all folders that a network's answers may need."""
    words = head.applied.words if head.applied else head.classes
    return (*words, Status.REJECTED.value, Status.ERROR.value)


def sort_files(folder: Path, work: Run, files: OutputFiles, *, link: bool) -> Sorted:
    """Put every file with a row into a folder by the first network's decision, or prediction where it decides nothing.

    A file keeps its name; where several of a folder are called the same, digits of its path follow each name, as they
    do where it is too long. Nothing is replaced: what is there and has the right content stays, so that the same call
    goes on where one was ended.

    Args:
        folder: Made where it is absent.
        work: The finished run.
        files: Its table.
        link: Whether to make symbolic links instead of copies; for a local root.

    Raises:
        OutputError: A file cannot be written.
    """
    counts, left = Counter[str](), Counter[str]()
    there = renamed = 0
    rows: list[list[str]] = []
    placed: set[Path] = set()
    workers = work.workers or store_of(work.request.naming.root).workers
    for found in prefetch(partial(_found, work=work, link=link), _wanted(folder, work, files), workers, _AHEAD):
        record, target = found.wanted.record, found.target
        if found.because:
            left[found.because] += 1
            rows.append(["", record["path"], record["sha256"], found.because])
            continue
        if found.content is not None:
            _write(found, work, link=link)
        placed.add(target)
        counts[target.parent.name] += 1
        there += found.content is None
        renamed += target.name != found.wanted.name
        rows.append([_cell(target, folder), record["path"], record["sha256"], ""])
    older = tuple(sorted(_cell(one, folder) for one in _older(folder, work, placed)))
    rows += ([one, "", "", "this run did not put it there"] for one in older)
    return Sorted(_write_list(folder, work, rows), counts, there, renamed, left, older)


def _cell(target: Path, folder: Path) -> str:
    return escape(target.relative_to(folder).as_posix())


def _wanted(folder: Path, work: Run, files: OutputFiles) -> list[_Wanted]:
    """Return every file with a row, in the order of the table."""
    candidates = {one.cell: one for one in work.selection.candidates}
    records = list(read_table(files.results, work.format, work.schema.columns))
    named = [PurePosixPath(candidates[record["path"]].relative).name for record in records]
    places = [folder / _folder_of(record) for record in records]
    # Windows and macOS take names for one that differ in case or in how their accents are written.
    keys = [(place, unicodedata.normalize("NFC", name).casefold()) for place, name in zip(places, named, strict=True)]
    times = Counter(keys)
    return [
        _Wanted(record, candidates[record["path"]], name, _targets(place, name, record, alone=times[key] == 1))
        for record, name, place, key in zip(records, named, places, keys, strict=True)
    ]


def _folder_of(record: Record) -> str:
    return (record["decision"] or record["prediction"]) if record["status"] == Status.OK else record["status"]


def _targets(place: Path, name: str, record: Record, *, alone: bool) -> tuple[Path, ...]:
    digits = hashlib.sha256(record["path"].encode()).hexdigest()[:_DIGITS]
    stem, suffix = os.path.splitext(name)  # noqa: PTH122  a name may be what Path takes for a folder
    written, room = os.fsencode(stem), max(_LONGEST - len(os.fsencode(f"-{digits}{suffix}")), 0)
    # Whole characters: macOS and Windows refuse a name that ends in a part of one.
    cut = stem if len(written) <= room else written[:room].decode(errors="ignore")
    other = place / f"{cut}-{digits}{suffix}"
    return (place / name, other) if alone and len(os.fsencode(name)) <= _LONGEST else (other,)


def _found(wanted: _Wanted, work: Run, *, link: bool) -> _Found:
    """Find the place of a file, and read it where it is not there yet."""
    root = work.request.naming.root
    for target in wanted.targets:
        if not os.path.lexists(target):
            break
        if _is_same(target, wanted, work, link=link):
            return _Found(wanted, target)
    else:
        return _Found(wanted, target, because=f"{target.parent.name} has another file of its name")
    if link:
        return _Found(wanted, target, b"")
    try:
        return _Found(wanted, target, read_again(wanted.candidate, root, wanted.record["sha256"]))
    except ImageError as error:
        return _Found(wanted, target, because=error.detail)


def _is_same(target: Path, wanted: _Wanted, work: Run, *, link: bool) -> bool:
    if link:
        return target.is_symlink() and target.readlink() == Path(_source(wanted, work))
    return target.is_file() and not target.is_symlink() and sha256_of(target) == wanted.record["sha256"]


def _source(wanted: _Wanted, work: Run) -> str:
    return store_of(work.request.naming.root).absolute(wanted.candidate.relative)


def _write(found: _Found, work: Run, *, link: bool) -> None:
    assert found.content is not None, "it is there already"
    if not link:
        write_bytes(found.target, found.content)
        return
    make_folder(found.target.parent)
    with guarded(found.target, "make the link"):
        found.target.symlink_to(_source(found.wanted, work))


def list_of(folder: Path, shard: Shard | None) -> Path:
    """Return the name of the list in a folder."""
    return folder / (f"sorted-{shard.number}-of-{shard.of}.csv" if shard else "sorted.csv")


def is_list(path: Path) -> bool:
    """Tell whether a file begins as a list does, in any dialect."""
    header = start_of(path).removeprefix(BOM_UTF8).replace(b";", b",")
    return header.startswith(",".join(column.name for column in _COLUMNS).encode())


def _write_list(folder: Path, work: Run, rows: list[list[str]]) -> Path:
    listed = list_of(folder, work.request.shard)
    with whole_file(listed) as temporary:
        write_table(temporary, Format.CSV, _COLUMNS, rows, work.dialect)
    return listed


def _older(folder: Path, work: Run, placed: set[Path]) -> list[Path]:
    if work.request.shard:
        return []  # the others' files lie there too
    there = (one for name in folder_names(work.schema.heads[0]) for one in _entries(folder / name))
    return [one for one in there if one not in placed and not one.name.endswith(".tmp")]


def _entries(folder: Path) -> Iterator[Path]:
    with guarded(folder, "list"):
        yield from folder.iterdir() if folder.is_dir() else ()
