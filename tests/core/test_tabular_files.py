"""Text and tables as other programs save them are read, or refused with the row and what to do."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr.core.errors import DataError
from cxr.core.tabular_files import SEPARATORS, Table, bare, decode_text, form_of, read_csv

ROWS = [["path", "label"], ["Übersicht 1.png", "covid"], ["a,b;c\td.png", "normal"], ['say "hi"\nand more', "normal"]]
MARKED = ("utf-8-sig", "utf-16", "utf-32")
ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", *MARKED)


def saved(rows: list[list[str]], separator: str = ",", line_end: str = "\n") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator=line_end).writerows(rows)
    return text.getvalue()


def table(tmp_path: Path, content: str | bytes, *columns: str) -> Table:
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_csv(path, columns or ("path", "label"), name="t.csv")


def refusal(tmp_path: Path, content: str | bytes, *columns: str) -> str:
    with pytest.raises(DataError) as caught:
        list(table(tmp_path, content, *columns).rows)
    return str(caught.value)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_table_is_the_same_in_every_form(tmp_path: Path, encoding: str, separator: str, line_end: str) -> None:
    found = table(tmp_path, saved(ROWS, separator, line_end).encode(encoding))
    assert found.header == ("path", "label")
    assert [(row.number, row.cells) for row in found.rows] == list(enumerate(ROWS[1:], start=2))


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)


@given(
    st.lists(st.tuples(cells, cells.filter(bare)), max_size=6),
    st.sampled_from(MARKED),
    st.sampled_from(list(SEPARATORS)),
    st.sampled_from(["\n", "\r\n"]),
)
def test_every_cell_comes_back(tmp_path_factory, rows, encoding, separator, line_end) -> None:
    text = saved([["path", "label"], *map(list, rows)], separator, line_end)
    found = table(tmp_path_factory.mktemp("t"), text.encode(encoding))
    assert [tuple(row.cells) for row in found.rows] == rows


@given(st.lists(st.text("abc./ ", min_size=1, max_size=6), min_size=1))
def test_names_with_nul_between_are_not_taken_for_utf16(names: list[str]) -> None:
    data = b"".join(name.encode() + b"\0" for name in names)
    assert form_of(data).encoding == "UTF-8" or all(len(name) == 1 for name in names)


@pytest.mark.parametrize(
    "content",
    [
        "sep=;\r\npath;label\r\na.png;covid\r\n",
        '"sep=;"\r\npath;label\r\na.png;covid\r\n',
        "path;label;;;\r\na.png;covid;;;\r\n;;;;\r\n\r\n;;;;\r\n",
        "path;label\r\na.png;covid;;;\r\n",
        '#TYPE Selected.System.IO.FileInfo\r\n"path","label"\r\n"a.png","covid"\r\n',
        "\ufeff#TYPE System.Management.Automation.PSCustomObject\r\npath;label\r\na.png;covid\r\n",
        "\r\n;\r\npath;label\r\na.png;covid",
        " Path ;LABEL\r\na.png;covid\r\n",
        "path\tlabel\na.png\tcovid\n",
        "path,label\r\n\r\na.png,covid\r\r\n",
        '"path","label"\n"a.png","covid"\n',
        "\ufeff\ufeffpath,\u200blabel\r\na.png,covid\r\n\x1a",
    ],
)
def test_what_spreadsheets_add_is_left_out(tmp_path: Path, content: str) -> None:
    found = table(tmp_path, content)
    assert found.header == ("path", "label")
    assert [row.cells for row in found.rows] == [["a.png", "covid"]]


def test_excel_leaves_out_empty_cells_at_the_end_of_rows(tmp_path: Path) -> None:
    content = "path;label;group;source\r\na.png;covid;1;x\r\nb.png;covid\r\nc.png;normal;2\r\n"
    rows = [row.cells for row in table(tmp_path, content).rows]
    assert rows == [["a.png", "covid", "1", "x"], ["b.png", "covid", "", ""], ["c.png", "normal", "2", ""]]
    assert "row 3, has too few cells: 2, and the header has 4" in refusal(tmp_path, content, "path", "source")
    with pytest.raises(DataError, match="row 3, has too few cells: 2"):  # any column may be needed
        list(read_csv(tmp_path / "t.csv").rows)


def test_rows_are_numbered_as_a_spreadsheet_shows_them(tmp_path: Path) -> None:
    found = table(tmp_path, 'sep=,\npath,label\n\n"two\nlines",covid\na.png,normal\n')
    assert [row.number for row in found.rows] == [3, 4]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "t.csv is empty; expected the columns path,label; fill it in, or remove it"),
        (b"\xef\xbb\xbf\r\n ; \r\n", "t.csv is empty"),
        ("path,name\n", "t.csv has the columns path, name; expected the columns path,label. Name its columns so in"),
        (
            "path:label\n",
            "t.csv has the columns path:label; expected the columns path,label. Name its columns so",
        ),
        ("<html>" * 9999, "t.csv has the columns " + "<html>" * 16 + "<htm...; expected the columns path,label"),
        ('path,"la\nbel"\n', "t.csv has the columns path, la\ufffdbel; expected"),
        ("path,label,Label \n", "t.csv has the column label twice; remove or rename one of them"),
        (
            "path;label\na.png;covid\nb.png\n",
            "t.csv, row 3, has too few cells: 1, and the header has 2; give every row",
        ),
        ("path;label\na.png;covid;x\n", "row 2, has too many cells: 3, and the header has 2"),
        ("path;label\na;b.png;covid\n", "put a cell that holds a semicolon between quotation marks"),
        ('path,label\n"a.png,covid\n', "row 2, has a quotation mark that does not end its cell; close it"),
        ('path,label\n"a"b.png,covid\n', "row 2, has a quotation mark"),
        (
            b"path,label\n\0\0\0,covid\n",
            "t.csv, line 2, has a byte of value zero, as no text has; copy it again, or save it in Excel as 'CSV UTF-8",
        ),
        (
            b"path,label\r\nM\xfcller.png,covid\r\n",
            "t.csv, line 2, is not UTF-8 but perhaps Windows-1252: 'Müller.png,covid'; save it in Excel as",
        ),
        (b"path,label\r\nM\xfcller.png,covid\r\n", "in Excel as 'CSV UTF-8 (Comma delimited)'"),
        (b"path,label\n" + b"a.png,covid\n" * 9000 + b"\xe9,covid\n", "line 9002, is not UTF-8"),
        (b"path,label\n\x81\x8d" + b"x" * 500, "'\ufffd\ufffd" + "x" * 98 + "...'; save"),
        ("path,label\n".encode("utf-16") + b"\0", "t.csv is UTF-16, and damaged or not whole; copy it again"),
        (b"PK\3\4rest", "t.csv is an Excel workbook or another zip file, and no text; save it in Excel as"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            "t.csv is an Excel workbook of the old kind (.xls) or with a password, and no text",
        ),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "t.csv, line 3, has a byte of value zero, as no text has"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_with_a_remedy(tmp_path: Path, content: str | bytes, words: str) -> None:
    said = refusal(tmp_path, content)
    assert words in said
    assert "\n" not in said
    assert "codec" not in said


def test_columns_beside_those_that_are_known_are_refused_where_they_are_closed(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,label,,age\n")
    with pytest.raises(
        DataError, match=r"has the columns path, label, one without a name, age; expected .* and source"
    ):
        read_csv(tmp_path / "t.csv", ("path", "label"), ("group", "source"))


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.csv cannot be read: No such file or directory; give a file that"):
        read_csv(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_csv(tmp_path)


@pytest.mark.parametrize(
    ("content", "oddities"),
    [
        (b"a,b\n", ()),
        (b"", ()),
        (b"\xef\xbb\xbfa;b\r\n", ("a byte order mark", "semicolons between cells", "lines that end in CR LF")),
        (b"#TYPE System.IO.FileInfo\na,b\n", ("a first line that names a type",)),
        (b"sep=\t\ra\tb\r", ("tabs between cells", "a first line that names the separator", "lines that end in CR")),
        ("a,b\n".encode("utf-16"), ("the encoding UTF-16",)),
    ],
)
def test_what_a_form_has_that_plain_csv_has_not_is_told(content: bytes, oddities: tuple[str, ...]) -> None:
    assert form_of(content).oddities == oddities


def test_text_is_decoded_without_its_mark_and_with_its_line_ends() -> None:
    assert (
        decode_text("ü\r\nb\n".encode("utf-16"), "t") == decode_text("ü\r\nb\n".encode("utf-8-sig"), "t") == "ü\r\nb\n"
    )
