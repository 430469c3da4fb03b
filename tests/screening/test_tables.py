import csv
import io
import json
import re
import sys
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from cxr.core.errors import DataError, OutputError, UsageError
from cxr.core.files import sha256_of
from cxr.screening.paths import escape, unescape
from cxr.screening.tables import (
    Column,
    Dialect,
    Format,
    Kind,
    bytes_of,
    check_format,
    check_promise,
    chosen_format,
    digest_of,
    format_of,
    is_partitioned,
    partitions_of,
    read_numbered,
    read_partitions,
    read_table,
    whole_table,
    write_partitions,
    write_table,
    write_text_table,
)
from cxr.screening.workbook import read_workbook, write_workbook
from tests.screening.test_paths import file_names

COLUMNS = (Column("path"), Column("reason"), Column("width", Kind.INTEGER), Column("confidence", Kind.NUMBER))
ROWS = [["a.png", "", "299", "0.750000"], ['b,"c" é', "truncated", "", ""], ["z", "", "1", "1.000000"]]


@pytest.mark.parametrize("wanted", Format)
def test_a_table_comes_back_cell_by_cell(wanted: Format, tmp_path: Path) -> None:
    path = tmp_path / f"t.{wanted}"
    write_table(path, wanted, COLUMNS, iter(ROWS))
    assert list(read_table(path)) == [dict(zip([column.name for column in COLUMNS], row, strict=True)) for row in ROWS]


@pytest.mark.parametrize("wanted", Format)
def test_equal_rows_give_equal_bytes(wanted: Format, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_table(tmp_path / name, wanted, COLUMNS, iter(ROWS * 3000))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_csv_is_quoted_where_it_must_be_and_ends_lines_with_a_line_feed(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", Format.CSV, COLUMNS, [['b,"c".png', "x", "", ""]])
    assert (tmp_path / "t.csv").read_bytes() == b'path,reason,width,confidence\n"b,""c"".png",x,,\n'


def test_json_lines_have_numbers_nulls_and_six_decimals(tmp_path: Path) -> None:
    write_table(tmp_path / "t.jsonl", Format.JSONL, COLUMNS, ROWS)
    lines = (tmp_path / "t.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines[0] == '{"path":"a.png","reason":"","width":299,"confidence":0.750000}'
    assert json.loads(lines[1])["width"] is None


def test_parquet_has_types_and_nulls(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    write_table(tmp_path / "t.parquet", Format.PARQUET, COLUMNS, ROWS)
    table = pq.read_table(tmp_path / "t.parquet")
    assert [str(kind) for kind in table.schema.types] == ["string", "string", "int64", "double"]
    assert table["width"].to_pylist() == [299, None, 1]


def test_a_workbook_has_a_frozen_header_a_filter_numbers_and_no_formula(tmp_path: Path) -> None:
    from openpyxl import load_workbook

    hostile = [[cell, cell, "3", "0.500000"] for cell in ("=1+1", "+1", "-1", "@x", "#N/A", "_x0041_", "\ufffe", "ü")]
    write_table(tmp_path / "t.xlsx", Format.XLSX, COLUMNS, iter(hostile), summary=lambda: [("Files",), ("rows", 8)])
    book = load_workbook(tmp_path / "t.xlsx")
    assert book.sheetnames == ["results", "summary"]
    sheet = book["results"]
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("B2", "A1:D9")
    assert {cell.data_type for row in sheet.iter_rows(min_row=2, max_col=2) for cell in row} == {"s"}
    assert [(cell.value, cell.data_type, cell.number_format) for cell in sheet[2][2:]] == [
        (3, "n", "General"),
        (0.5, "n", "0.000000"),
    ]
    assert [list(row.values()) for row in read_table(tmp_path / "t.xlsx")] == hostile
    assert [[cell.value for cell in row] for row in book["summary"].iter_rows()] == [["Files", None], ["rows", 8]]


def test_a_workbook_goes_on_in_further_sheets(tmp_path: Path) -> None:
    for number in (0, 1, 2, 3, 4, 5):
        write_workbook(tmp_path / "t.xlsx", ["path"], iter([[f"{one}"] for one in range(number)]), sheet_rows=3)
        assert list(read_workbook(tmp_path / "t.xlsx")) == [["path"], *([f"{one}"] for one in range(number))]


def test_a_cell_that_no_workbook_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"40,000 characters, and one of a workbook holds 32,767; .* --format csv"):
        write_table(tmp_path / "t.xlsx", Format.XLSX, COLUMNS, [["x" * 40_000, "", "", ""]])


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (Dialect.PLAIN, 'path,reason,width,confidence\nz,"a;b,c",1,1.000000\n'),
        (Dialect.EXCEL, '\ufeffpath;reason;width;confidence\r\nz;"a;b,c";1;1,000000\r\n'),
        (Dialect.EXCEL_US, '\ufeffpath,reason,width,confidence\r\nz,"a;b,c",1,1.000000\r\n'),
    ],
)
def test_a_dialect_changes_marks_separators_and_points_and_no_cell(
    dialect: Dialect, expected: str, tmp_path: Path
) -> None:
    write_table(tmp_path / "t.csv", Format.CSV, COLUMNS, [["z", "a;b,c", "1", "1.000000"]], dialect)
    assert (tmp_path / "t.csv").read_bytes().decode() == expected
    write_table(tmp_path / "t.csv", Format.CSV, COLUMNS, [*ROWS, ["1,5", "2,5", "", ""]], dialect)
    rows = list(read_table(tmp_path / "t.csv", columns=COLUMNS))
    assert [list(row.values()) for row in rows] == [*ROWS, ["1,5", "2,5", "", ""]], "a comma in text stays"


@pytest.mark.parametrize(
    ("output", "wanted", "expected"),
    [
        ("r.xlsx", None, Format.XLSX),
        ("r.txt", Format.XLSX, Format.XLSX),
        ("-", Format.JSONL, Format.JSONL),
        ("r.CSV", Format.CSV, Format.CSV),
        ("r.csv", Format.XLSX, "-o r.csv and --format xlsx contradict each other; name the table r.xlsx, or"),
        ("s3://b/r.parquet", Format.CSV, "--format csv contradict each other; name the table r.csv"),
        ("r.xls", None, "no .xls is written; name the table r.xlsx"),
        ("r.ods", Format.CSV, "no .ods is written; name the table r.csv"),
        ("r.json", None, "no .json is written; name the table r.jsonl"),
        ("r.tsv", None, "no .tsv is written; name the table r.csv"),
    ],
)
def test_a_name_that_promises_another_format_is_refused(
    output: str, wanted: Format | None, expected: Format | str
) -> None:
    if isinstance(expected, Format):
        assert chosen_format(output, wanted) is expected
        return
    with pytest.raises(UsageError, match=re.escape(expected)):
        chosen_format(output, wanted)


def test_without_pyarrow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UsageError, match="extra 'parquet'"):
        check_format(Format.PARQUET)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("r.csv", Format.CSV),
        ("r.JSONL", Format.JSONL),
        ("r.parquet", Format.PARQUET),
        ("r.txt", Format.CSV),
        ("r", Format.CSV),
    ],
)
def test_the_suffix_names_the_format(name: str, expected: Format) -> None:
    assert format_of(Path(name)) is expected


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", "a,b\n1\n", "row 2, has too few cells: 1"),
        ("t.csv", 'a,b\n1,2\n"1,2\n', "row 3, has a quotation mark that does not end its cell"),
        ("t.csv", "a,b\n1,2,3\n", "row 2, has too many cells: 3"),
        ("t.csv", "", "is empty"),
        ("t.jsonl", '{"a": 1}\n[1]\n', "cannot be read as a table of results in jsonl"),
        ("t.jsonl", "a,b\n", "cannot be read as a table of results in jsonl"),
        ("t.parquet", "a,b\n", "cannot be read as a table of results in parquet"),
        ("t.xlsx", "a,b\n", "cannot be read as a table of results in xlsx"),
    ],
)
def test_a_damaged_table_is_named(name: str, content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=f"{name}.* {words}"):
        list(read_table(tmp_path / name))


def workbook(path: Path, **sheets: list[list[object]]) -> Path:
    book = Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_a_workbook_whose_sheet_has_another_name_is_told_which_one(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", Ergebnisse=[["path"], ["a"]], summary=[["x"]])
    with pytest.raises(DataError, match=r"t\.xlsx has no sheet 'results', but 'Ergebnisse', 'summary'; .* 'results'$"):
        list(read_table(path))


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_titles_above_the_header_are_left_aside_and_rows_keep_their_numbers(form: str, tmp_path: Path) -> None:
    rows: list[list[object]] = [["Films of 2024"], [], ["path", "status", "reason"], ["a", "ok"], ["b", "error", "x"]]
    path = workbook(tmp_path / "t.xlsx", results=rows)
    if form == "csv":
        path = tmp_path / "t.csv"
        path.write_text("Films of 2024\n\npath,status,reason\na,ok,\nb,error,x\n")
    assert list(read_numbered(path)) == [
        (4, {"path": "a", "status": "ok", "reason": ""}),
        (5, {"path": "b", "status": "error", "reason": "x"}),
    ]


def test_a_cell_beside_the_table_of_a_workbook_is_named(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", results=[["path", "status"], ["a", "ok"], ["b", "ok", None, "look again"]])
    with pytest.raises(DataError, match=r"t\.xlsx, row 3, has the cell 'look again' right of the table, .* 2 columns;"):
        list(read_table(path))


@pytest.mark.parametrize(
    ("name", "written", "expected"),
    [
        ("a.csv", "csv", ""),
        ("a.txt", "csv", ""),
        ("a", "json", ""),
        ("A.JSON", "json", ""),
        ("a.xlsx", "csv", "--out a.xlsx: CSV is written there, and no .xlsx; name it a.csv"),
        ("a.tsv", "csv", "name it a.csv"),
        ("a.md", "csv", "name it a.csv"),
        ("a.csv", "json", "JSON is written there, and no .csv; name it a.json"),
        ("a.jsonl", "json", "name it a.json"),
        ("a.json.gz", "json", "no .gz; name it a.json"),
        ("a.docx", "md", "Markdown is written there, and no .docx; name it a.md"),
    ],
)
def test_a_name_that_promises_another_form_than_the_one_written_is_refused(
    name: str, written: str, expected: str
) -> None:
    if not expected:
        check_promise("--out", Path(name), written)
        return
    with pytest.raises(UsageError, match=re.escape(expected)):
        check_promise("--out", Path(name), written)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_json_lines_are_read_as_windows_saves_them(tmp_path: Path, mark: bytes) -> None:
    (tmp_path / "t.jsonl").write_bytes(mark + b'{"a": "x", "b": 1.50}\r\n\r\n{"a": null, "b": 2}\r\n')
    assert list(read_table(tmp_path / "t.jsonl")) == [{"a": "x", "b": "1.50"}, {"a": "", "b": "2"}]


@given(st.lists(file_names, unique=True))
def test_a_csv_reader_gets_every_path_back(paths: list[str]) -> None:
    text = io.StringIO()
    write_text_table(text, Format.CSV, [Column("path")], ([escape(path)] for path in paths if path))
    table = list(csv.reader(io.StringIO(text.getvalue(), newline="")))[1:]
    assert [unescape(record[0]) for record in table] == [path for path in paths if path]


PART_COLUMNS = (Column("path"), Column("probability", Kind.NUMBER))


def rows(number: int) -> list[list[str]]:
    return [[f"{one:03}", f"{one / 1000:.6f}"] for one in range(number)]


@pytest.mark.parametrize(("number", "files"), [(0, 1), (1, 1), (3, 1), (4, 2), (6, 2), (7, 3)])
def test_rows_come_back_in_order_from_files_of_one_size(tmp_path: Path, number: int, files: int) -> None:
    write_partitions(tmp_path, PART_COLUMNS, iter(rows(number)), size=3)

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

    write_partitions(tmp_path, PART_COLUMNS, slow(), size=3)
    assert taken == list(range(7))


def test_the_digest_depends_on_each_file_and_its_place(tmp_path: Path) -> None:
    write_partitions(tmp_path, PART_COLUMNS, rows(7), size=3)
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
            write_partitions(folder, PART_COLUMNS, rows(number), size=3)
    before = {path.name: path.read_bytes() for path in table.iterdir()}
    assert len(before) == 1

    def broken():
        yield from rows(1)
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError), whole_table(table, partitioned=True) as folder:
        write_partitions(folder, PART_COLUMNS, chain(broken()), size=3)
    assert {path.name: path.read_bytes() for path in table.iterdir()} == before
    assert list(tmp_path.iterdir()) == [table]
