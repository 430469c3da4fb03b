"""The table as a file: CSV, JSON Lines or Parquet, all from the same cells; and back again."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import IO

from cxr.errors import DataError, UsageError
from cxr.screening.heads import Column, Kind


class Format(StrEnum):
    """How a table is written; also the suffix that says so."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


def format_of(path: Path) -> Format:
    """Return the format that a file's suffix names; any other suffix means CSV."""
    suffix = path.suffix.lower().removeprefix(".")
    return Format(suffix) if suffix in set(Format) else Format.CSV


def check_format(wanted: Format) -> None:
    """Raise UsageError where Parquet is asked for and pyarrow is not installed."""
    if wanted is Format.PARQUET:
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise UsageError("Parquet needs the extra 'parquet': pip install 'cxr-batch[parquet]'") from error


def write_table(path: Path, wanted: Format, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Write a header and rows of cells to `path`, a file or a folder for partitions; memory does not grow with them."""
    if path.is_dir():
        from cxr.screening.partitions import write_partitions

        write_partitions(path, columns, rows)
        return
    if wanted is Format.PARQUET:
        from cxr.screening.parquet import write_parquet

        write_parquet(path, columns, rows)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        write_text_table(file, wanted, columns, rows)


def write_text_table(file: IO[str], wanted: Format, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    r"""Write CSV (RFC 4180, `\n` line ends) or JSON Lines to an open text file."""
    if wanted is Format.JSONL:
        file.writelines(_json_line(columns, cells) for cells in rows)
        return
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([column.name for column in columns])
    writer.writerows(rows)


def read_table(path: Path, written: Format | None = None) -> Iterator[dict[str, str]]:
    """Give the cells of each row by column name, from a table in the format `written`, by default that of its suffix.

    Raises:
        DataError: The file cannot be read as a table of its format.
    """
    from cxr.screening.parquet import read_parquet
    from cxr.screening.partitions import read_partitions

    written = written or format_of(path)
    check_format(written)
    readers = {Format.CSV: _read_csv, Format.JSONL: _read_jsonl, Format.PARQUET: read_parquet}
    try:
        yield from read_partitions(path) if path.is_dir() else readers[written](path)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table of results: {error}") from error


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


def _read_csv(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, strict=True)
        header = next(rows, [])
        for number, cells in enumerate(rows, start=1):
            if len(cells) != len(header):
                raise ValueError(f"row {number} has {len(cells)} cells, the header {len(header)}")
            yield dict(zip(header, cells, strict=True))


def _read_jsonl(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            members = json.loads(line, parse_float=str, parse_int=str)
            yield {name: "" if value is None else value for name, value in members.items()}
