"""A table of millions of rows: a folder of Parquet files in the order of the table, which most tools read as one."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import chain, islice
from pathlib import Path

from cxr.files import named_errors, sha256_of, whole_file
from cxr.screening.heads import Column
from cxr.screening.parquet import read_parquet, write_parquet

ROWS = 100_000  # of a file
PATTERN = "part-*.parquet"


def write_partitions(folder: Path, columns: Sequence[Column], rows: Iterable[Sequence[str]], size: int = ROWS) -> None:
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


def whole_table(path: Path, *, partitioned: bool) -> AbstractContextManager[Path]:
    """Give a temporary file or folder that takes the place of `path` when the block ends well."""
    return _whole_folder(path) if partitioned else whole_file(path)


@contextmanager
def _whole_folder(path: Path) -> Iterator[Path]:
    """As `whole_file`; a folder cannot be replaced in one step, so for a moment there is none."""
    with (
        tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp") as scratch,
        named_errors(path),
    ):
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        new.mkdir()
        yield new
        if path.exists():
            path.replace(old)
        new.replace(path)
        shutil.rmtree(old, ignore_errors=True)
