"""The table as a file, and the files of a run beside it: CSV, workbook, JSON Lines or Parquet, from the same cells."""

import csv
import errno
import hashlib
import json
import re
import tempfile
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from cxr.core.errors import DataError, OutputError, UsageError
from cxr.core.files import (
    alone,
    guarded,
    read_json,
    real,
    reason_of,
    refused,
    sha256_of,
    start_of,
    whole_file,
    whole_folder,
)
from cxr.core.tabular_files import HEAD, bare, form_of, holds, read_csv, read_lines, table_of, unreadable
from cxr.screening.paths import printable
from cxr.screening.workbook import Value, read_workbook, write_workbook


class Kind(StrEnum):
    """What the cells of a column hold; any of them may be empty."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Column:
    """A name and what its cells hold."""

    name: str
    kind: Kind = Kind.TEXT


ROWS_OF_GROUP = 4096  # of a row group; bounds memory


def read_parquet(path: Path) -> Iterator[dict[str, str]]:
    """Give the cells of each row by column name, numbers with six decimals."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROWS_OF_GROUP):
            for record in batch.to_pylist():
                yield {name: _cell(value) for name, value in record.items()}


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def write_parquet(path: Path, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Write rows of cells to `path`, a row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types: dict[Kind, Any] = {Kind.TEXT: pa.string(), Kind.INTEGER: pa.int64(), Kind.NUMBER: pa.float64()}
    schema = pa.schema([(column.name, types[column.kind]) for column in columns])
    with pq.ParquetWriter(path, schema) as writer:
        for group in _groups(rows, ROWS_OF_GROUP):
            arrays = [
                pa.array([_value(column, cell) for cell in cells], types[column.kind])
                for column, cells in zip(columns, zip(*group, strict=True), strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _value(column: Column, cell: str) -> Value:
    if column.kind is Kind.TEXT:
        return cell
    if cell == "":
        return None
    return int(cell) if column.kind is Kind.INTEGER else float(cell)


def _groups(rows: Iterable[Sequence[str]], size: int) -> Iterator[list[Sequence[str]]]:
    group: list[Sequence[str]] = []
    for row in rows:
        group.append(row)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


ROWS_OF_PART = 100_000  # of a file
PATTERN = "part-*.parquet"


def write_partitions(
    folder: Path, columns: Sequence[Column], rows: Iterable[Sequence[str]], size: int = ROWS_OF_PART
) -> None:
    """Write rows to files of `size` rows each, at least one, in an existing folder."""
    left, number = iter(rows), 0
    first: list[Sequence[str]] = []
    while first or not number:
        write_parquet(folder / f"part-{number:05d}.parquet", columns, chain(first, islice(left, size - len(first))))
        number, first = number + 1, list(islice(left, 1))


def read_partitions(folder: Path) -> Iterator[dict[str, str]]:
    """Give the cells of each row by column name, over all files."""
    return chain.from_iterable(map(read_parquet, partitions_of(folder)))


def partitions_of(folder: Path) -> list[Path]:
    """Return the files of a table in the order of their rows."""
    return sorted(folder.glob(PATTERN))


def digest_of(table: Path) -> str:
    """Return the SHA-256 of a table; of a folder, over a line `<sha256>  <name>` for each file."""
    if not table.is_dir():
        return sha256_of(table)
    lines = (f"{sha256_of(path)}  {path.name}\n" for path in partitions_of(table))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def bytes_of(table: Path) -> int:
    """Return the size of a table in bytes."""
    return sum(path.stat().st_size for path in (partitions_of(table) if table.is_dir() else [table]))


def is_partitioned(path: Path) -> bool:
    """Tell whether a folder holds nothing but the files of such a table."""
    return path.is_dir() and all(one.match(PATTERN) for one in path.iterdir())


@contextmanager
def whole_table(path: Path, *, partitioned: bool) -> Iterator[Path]:
    """Give a temporary file or folder that takes the place of `path` when the block ends well.

    Raises:
        OutputError: The system refuses it; what was there before is still there.
    """
    with guarded(path), whole_folder(path) if partitioned else whole_file(path) as temporary:
        yield temporary


class Format(StrEnum):
    """How a table is written; also the suffix that says so."""

    CSV = "csv"
    XLSX = "xlsx"
    JSONL = "jsonl"
    PARQUET = "parquet"


class Dialect(StrEnum):
    """How a CSV file is written; which one is asked for, never found out from the machine's own settings."""

    PLAIN = "plain"
    EXCEL = "excel"
    EXCEL_US = "excel-us"

    @property
    def mark(self) -> bytes:
        """What the file begins with; without it Excel takes UTF-8 for Windows-1252."""
        return b"" if self is Dialect.PLAIN else BOM_UTF8

    @property
    def separator(self) -> str:
        """Between cells: that of Windows' lists, which is a semicolon where the comma is the decimal point."""
        return ";" if self is Dialect.EXCEL else ","

    @property
    def line_end(self) -> str:
        """Of each row."""
        return "\n" if self is Dialect.PLAIN else "\r\n"

    @property
    def point(self) -> str:
        """The decimal point."""
        return "," if self is Dialect.EXCEL else "."


# Suffixes that promise something else than CSV, and what comes closest to it.
_FOREIGN = {
    **dict.fromkeys(("xls", "xlsm", "xlsb", "ods"), Format.XLSX),
    **dict.fromkeys(("json", "ndjson"), Format.JSONL),
    **dict.fromkeys(("tsv", "tab"), Format.CSV),
    # Read back by their suffix, as pandas does, these would be taken for damaged; and a picture may be somebody's film.
    **dict.fromkeys(("gz", "bz2", "xz", "zst", "zip", "7z", "tar", "tgz"), Format.CSV),
    **dict.fromkeys(("html", "htm", "md", "pdf", "doc", "docx", "odt", "rtf"), Format.CSV),
    **dict.fromkeys(("png", "jpg", "jpeg", "tif", "tiff", "bmp", "gif", "webp", "dcm"), Format.CSV),
    "pq": Format.PARQUET,
}
# What a table of text begins with, and what others do: anybody's workbook, which is a ZIP file, and Parquet.
_HEADERS = (b"path,status", b"path;status", b'{"path":')
_BINARY = (b"PK\x03\x04", b"PAR1")


def format_of(path: Path) -> Format:
    """Return the format that a file's suffix names; any other suffix means CSV."""
    suffix = _suffix(path)
    return Format(suffix) if suffix in set(Format) else Format.CSV


def chosen_format(output: str, wanted: Format | None) -> Format:
    """Return the format of a table to be written: the one asked for, or that of the suffix of its name or address.

    Raises:
        UsageError: The name promises another format, or one that is not written.
    """
    path = Path(output.partition("::")[0])
    suffix = _suffix(path)
    if suffix in _FOREIGN:
        instead = wanted or _FOREIGN[suffix]
        raise UsageError(f"-o {output}: no .{suffix} is written; name the table {_renamed(path, instead)}")
    if wanted and suffix in set(Format) and suffix != wanted:
        raise UsageError(
            f"-o {output} and --format {wanted} contradict each other; name the table {path.stem}.{wanted}, or leave "
            "--format out"
        )
    return wanted or format_of(path)


_WRITTEN = {"csv": "CSV", "json": "JSON", "md": "Markdown"}
_PROMISES = {*Format, *_FOREIGN, *_WRITTEN}


def check_promise(option: str, path: Path, written: str) -> None:
    """Refuse a name whose suffix promises another form than the one that an option writes.

    Args:
        option: As people give it.
        path: Of the file.
        written: The suffix of its form: `csv`, `json` or `md`.

    Raises:
        UsageError: With the name to give.
    """
    suffix = _suffix(path)
    if suffix in _PROMISES and suffix != written:
        raise UsageError(
            f"{option} {path}: {_WRITTEN[written]} is written there, and no .{suffix}; name it "
            f"{_renamed(path, written)}"
        )


def _renamed(path: Path, suffix: str) -> str:
    """Return the name of a file with `suffix` in place of its own; `results.csv` for `results.csv.gz`."""
    return path.stem if _suffix(Path(path.stem)) == suffix else f"{path.stem}.{suffix}"


def _suffix(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")


def check_format(wanted: Format) -> None:
    """Raise UsageError where Parquet is asked for and pyarrow is not installed."""
    if wanted is Format.PARQUET:
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise UsageError("Parquet needs the extra 'parquet': pip install '.[parquet]'") from error


def write_table(
    path: Path,
    wanted: Format,
    columns: Sequence[Column],
    rows: Iterable[Sequence[str]],
    dialect: Dialect = Dialect.PLAIN,
    summary: Callable[[], Iterable[Sequence[Value]]] | None = None,
) -> None:
    """Write a header and rows of cells; memory does not grow with them.

    Args:
        path: A file, or a folder for partitions.
        wanted: Its format.
        columns: In order.
        rows: Their cells.
        dialect: Of CSV.
        summary: Of a workbook, see `write_workbook`.
    """
    if path.is_dir():
        write_partitions(path, columns, rows)
    elif wanted is Format.PARQUET:
        write_parquet(path, columns, rows)
    elif wanted is Format.XLSX:
        values = ([_value(column, cell) for column, cell in zip(columns, cells, strict=True)] for cells in rows)
        write_workbook(path, [column.name for column in columns], values, summary)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            write_text_table(file, wanted, columns, rows, dialect)


def write_text_table(
    file: IO[str],
    wanted: Format,
    columns: Sequence[Column],
    rows: Iterable[Sequence[str]],
    dialect: Dialect = Dialect.PLAIN,
) -> None:
    """Write CSV (RFC 4180) or JSON Lines to an open text file of UTF-8 that leaves line ends as they are."""
    if wanted is Format.JSONL:
        file.writelines(_json_line(columns, cells) for cells in rows)
        return
    file.write(dialect.mark.decode())
    writer = csv.writer(file, delimiter=dialect.separator, lineterminator=dialect.line_end)
    writer.writerow([column.name for column in columns])
    writer.writerows(rows if dialect.point == "." else _with_commas(columns, rows))


def head_of(dialect: Dialect) -> bytes:
    """Return the first line of a table of two columns in CSV, in the form that `dialect` has."""
    return dialect.mark + f"path{dialect.separator}status{dialect.line_end}".encode()


def _with_commas(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    numbers = [column.kind is Kind.NUMBER for column in columns]
    for cells in rows:
        yield [cell.replace(".", ",") if one else cell for one, cell in zip(numbers, cells, strict=True)]


def read_table(path: Path, written: Format | None = None, columns: Sequence[Column] = ()) -> Iterator[dict[str, str]]:
    """Give the cells of each row by column name.

    CSV may be of any `Dialect`, or saved by another program, see `cxr.core.tabular_files`: whether it was is a question
    of its digest.

    Args:
        path: The table.
        written: Its format; None: that of its suffix.
        columns: As far as they are known; in those of numbers a decimal comma of CSV becomes a point.

    Raises:
        DataError: The file cannot be read as a table of its format.
    """
    for _, cells in read_numbered(path, written, columns):
        yield cells


NumberedRow = tuple[int, dict[str, str]]


def read_numbered(path: Path, written: Format | None = None, columns: Sequence[Column] = ()) -> Iterator[NumberedRow]:
    """Give the same with the number of each row: as a spreadsheet shows it, or from 1 where there is no header."""
    written = written or format_of(path)
    check_format(written)
    readers: dict[Format, Callable[[Path], Iterator[NumberedRow]]] = {
        Format.CSV: partial(_read_csv, columns=columns),
        Format.XLSX: _read_xlsx,
        Format.JSONL: _read_jsonl,
        Format.PARQUET: lambda path: enumerate(read_parquet(path), start=1),
    }
    try:
        yield from enumerate(read_partitions(path), start=1) if path.is_dir() else readers[written](path)
    except OSError as error:
        raise unreadable(str(path), error) from error
    except ValueError as error:
        raise DataError(
            f"{path} cannot be read as a table of results in {written.value}; expected one as cxr-batch wrote it"
        ) from error


def _json_line(columns: Sequence[Column], cells: Sequence[str]) -> str:
    """Numbers are written as they stand in the cells, so that six decimals stay six."""
    values = (
        "null" if cell == "" and column.kind is not Kind.TEXT else cell if column.kind is not Kind.TEXT else _json(cell)
        for column, cell in zip(columns, cells, strict=True)
    )
    members = (f"{_json(column.name)}:{value}" for column, value in zip(columns, values, strict=True))
    return "{" + ",".join(members) + "}\n"


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


_COMMA = re.compile(r"(-?\d+),(\d+)")


_IS_HEADER = holds(("path",))  # above it people write titles


def _read_csv(path: Path, columns: Sequence[Column]) -> Iterator[NumberedRow]:
    table = read_csv(path, is_header=_IS_HEADER)
    numbers = {column.name for column in columns if column.kind is Kind.NUMBER} & {*table.header}
    for number, cells in table.rows:
        row = dict(zip(table.header, cells, strict=True))
        for name in numbers:
            row[name] = _COMMA.sub(r"\1.\2", row[name])
        yield number, row


_TITLES = 20  # rows of a sheet at most, among which its header is


def _read_xlsx(path: Path) -> Iterator[NumberedRow]:
    rows = ([*map(_cell, row)] for row in read_workbook(path))
    first = list(islice(rows, _TITLES))
    above = next((number for number, cells in enumerate(first) if _IS_HEADER([*map(bare, cells)])), 0)
    table = table_of(_of_one_width(chain(first[above:], rows), path, above), name=str(path))
    for number, cells in table.rows:
        yield above + number, dict(zip(table.header, cells, strict=True))


def _of_one_width(rows: Iterable[list[str]], path: Path, above: int) -> Iterator[list[str]]:
    """Give the rows of a sheet as wide as the header, the first of them, `above` which there are others.

    Raises:
        DataError: A row has something beside the table.
    """
    width = None
    for number, row in enumerate(rows, start=above + 1):
        filled = next((place for place in range(len(row), 0, -1) if bare(row[place - 1])), 0)
        width = filled if width is None else width
        if filled > width:
            raise DataError(
                f"{path}, row {number}, has the cell {row[filled - 1][:_QUOTED]!r} right of the table, whose header "
                f"has {width} columns; remove what is no part of the table from its sheet"
            )
        yield [*row[:width], *[""] * (width - len(row))]  # a row ends with its last cell that is not empty


_QUOTED = 40  # characters of a cell in a sentence


def _read_jsonl(path: Path) -> Iterator[NumberedRow]:
    with path.open("rb") as file:
        form = form_of(file.read(HEAD))
    for number, line in enumerate(read_lines(path, form, str(path)), start=1):
        if line.strip():
            members = json.loads(line, parse_float=str, parse_int=str)
            if not isinstance(members, dict):
                raise ValueError("a line is no JSON object")
            yield number, {name: "" if value is None else value for name, value in members.items()}


@dataclass(frozen=True, slots=True)
class OutputFiles:
    """The files beside each other that one output consists of.

    Attributes:
        results: Absolute; links are followed, so that a link to a results file stays a link.
    """

    results: Path

    @property
    def journal(self) -> Path:
        """What the run has done so far."""
        return self.results.with_name(f"{self.results.name}.journal")

    @property
    def parts(self) -> Path:
        """What a run on many machines has done so far, a folder."""
        return self.results.with_name(f"{self.results.name}.parts")

    @property
    def manifest(self) -> Path:
        """What the results were made from."""
        return self.results.with_suffix(".manifest.json")

    @property
    def lock(self) -> Path:
        """Held while a run writes."""
        return self.results.with_name(f".{self.results.name}.lock")

    @property
    def all(self) -> frozenset[str]:
        """All paths as text."""
        return frozenset(map(str, (self.results, self.journal, self.parts, self.manifest, self.lock)))


def output_files(results: Path, *, partitioned: bool = False) -> OutputFiles:
    """Return the files of an output and find out whether they can be written; nothing is left behind.

    Args:
        results: The table.
        partitioned: Whether it is to be a folder of Parquet files.

    Raises:
        OutputError: The folder is absent or not writable, or a name is taken by something else.
    """
    files = OutputFiles(real(results))
    if files.results.is_symlink():
        raise OutputError(f"cannot write {results}: its links lead in a circle; give another name")
    if partitioned and files.results.exists() and not is_partitioned(files.results):
        raise OutputError(f"cannot write {results}: with --partitions it is a folder, and there is something else")
    for path in (*([] if partitioned else [files.results]), files.journal, files.manifest):
        if path.exists() and not path.is_file():
            raise OutputError(f"cannot write {path}: it is not a file; give the name of a file, or '-' for stdout")
    try:
        with tempfile.TemporaryFile(dir=files.results.parent):
            pass
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise refused(OSError(error.errno, error.strerror), results) from error  # it names a temporary file
        raise OutputError(
            f"cannot write {results}: {reason_of(error)} ({files.results.parent}); create that folder or choose another"
        ) from error
    _check_results(files)
    _check_manifest(files)
    return files


def locked(files: OutputFiles) -> AbstractContextManager[None]:
    """Keep other runs away from the same output. Raises OutputError where one is at work."""
    return alone(files.lock, f"another cxr-batch is writing {files.results}; wait for it or give another output")


def _check_results(files: OutputFiles) -> None:
    """Refuse to replace a file in the place of the table that no run wrote, as far as its start tells."""
    start = start_of(files.results).removeprefix(BOM_UTF8)
    known = any(one.exists() for one in (files.journal, files.parts, files.manifest))
    if not start or start.startswith(_HEADERS) or (known and start.startswith(_BINARY)):
        return
    whose = "is no table of cxr-batch"
    if start.startswith(_BINARY):
        whose = f"has no {files.manifest.name} beside it that says it is a table of cxr-batch"
    raise OutputError(
        f"{files.results} exists and {whose}, and no file of yours is replaced; give another output, or move that "
        "file away"
    )


def _check_manifest(files: OutputFiles) -> None:
    """Refuse to replace the manifest of another table, such as that of results.csv by that of results.jsonl."""
    try:
        described = read_json(files.manifest)["results"]["file"]
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError):
        described = None
    if described != printable(files.results.name):
        raise OutputError(
            f"{files.manifest} describes {described or 'something else'}, not {files.results.name}, and would be "
            f"replaced; give an output whose name before the ending differs, such as 2-{files.results.name}, or move "
            "that file away"
        )
