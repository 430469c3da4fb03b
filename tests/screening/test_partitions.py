from itertools import chain
from pathlib import Path

import pytest

from cxr.files import sha256_of
from cxr.screening.heads import Column, Kind
from cxr.screening.partitions import (
    bytes_of,
    digest_of,
    is_partitioned,
    partitions_of,
    read_partitions,
    whole_table,
    write_partitions,
)

COLUMNS = (Column("path"), Column("probability", Kind.NUMBER))


def rows(number: int) -> list[list[str]]:
    return [[f"{one:03}", f"{one / 1000:.6f}"] for one in range(number)]


@pytest.mark.parametrize(("number", "files"), [(0, 1), (1, 1), (3, 1), (4, 2), (6, 2), (7, 3)])
def test_rows_come_back_in_order_from_files_of_one_size(tmp_path: Path, number: int, files: int) -> None:
    write_partitions(tmp_path, COLUMNS, iter(rows(number)), size=3)

    assert len(partitions_of(tmp_path)) == files
    assert [list(row.values()) for row in read_partitions(tmp_path)] == rows(number)
    assert is_partitioned(tmp_path)


def test_rows_are_taken_one_by_one(tmp_path: Path) -> None:
    taken: list[int] = []

    def slow():
        for number, row in enumerate(rows(7)):
            taken.append(number)
            assert len(list(tmp_path.iterdir())) >= number // 3, "rows of a later file were taken first"
            yield row

    write_partitions(tmp_path, COLUMNS, slow(), size=3)
    assert taken == list(range(7))


def test_the_digest_depends_on_each_file_and_its_place(tmp_path: Path) -> None:
    write_partitions(tmp_path, COLUMNS, rows(7), size=3)
    first, second, third = partitions_of(tmp_path)
    before = digest_of(tmp_path)
    assert bytes_of(tmp_path) == sum(path.stat().st_size for path in (first, second, third))
    first.rename(tmp_path / "swap"), second.rename(first), (tmp_path / "swap").rename(second)
    assert digest_of(tmp_path) != before
    assert digest_of(third) == sha256_of(third)


def test_a_folder_takes_the_place_of_an_older_one_or_leaves_it(tmp_path: Path) -> None:
    table = tmp_path / "r.parquet"
    for number in (7, 2):
        with whole_table(table, partitioned=True) as folder:
            write_partitions(folder, COLUMNS, rows(number), size=3)
    before = {path.name: path.read_bytes() for path in table.iterdir()}
    assert len(before) == 1

    def broken():
        yield from rows(1)
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError), whole_table(table, partitioned=True) as folder:
        write_partitions(folder, COLUMNS, chain(broken()), size=3)
    assert {path.name: path.read_bytes() for path in table.iterdir()} == before
    assert list(tmp_path.iterdir()) == [table]
