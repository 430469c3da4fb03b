"""The table as Parquet: typed columns, empty numbers as nulls; pyarrow is the extra `parquet`."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cxr.screening.heads import Column, Kind

ROWS = 4096  # of a row group; bounds memory


def read_parquet(path: Path) -> Iterator[dict[str, str]]:
    """Give the cells of each row by column name, numbers with six decimals."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROWS):
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
        for group in _groups(rows, ROWS):
            arrays = [
                pa.array([_value(column, cell) for cell in cells], types[column.kind])
                for column, cells in zip(columns, zip(*group, strict=True), strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _value(column: Column, cell: str) -> str | int | float | None:
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
