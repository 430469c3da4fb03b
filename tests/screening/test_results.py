# ruff: noqa: RUF001
import csv
import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr.errors import Reason
from cxr.screening.results import Row, columns, escape_path, to_csv, unescape_path

# What a POSIX file system can hold: any bytes but NUL.
file_names = st.one_of(
    st.binary(min_size=1).map(lambda raw: os.fsdecode(raw.replace(b"\0", b""))),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text("\\nx0af=+-@\t\n\"', é\u2028\udcff", max_size=12),
)


@given(file_names)
def test_unescaping_gives_the_path_back(path: str) -> None:
    assert unescape_path(escape_path(path)) == path


@given(file_names)
def test_an_escaped_path_is_one_line_of_utf8_that_is_no_formula(path: str) -> None:
    cell = escape_path(path)
    cell.encode("utf-8")
    assert len(cell.splitlines()) <= 1
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


@given(st.lists(file_names, unique=True))
def test_a_csv_reader_gets_every_path_back(paths: list[str]) -> None:
    text = to_csv([Row(path, Reason.EMPTY) for path in paths], ["a", "b"])
    table = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert [unescape_path(record[0]) for record in table] == paths


@pytest.mark.parametrize(
    ("path", "cell"),
    [
        ("scans/1.png", "scans/1.png"),
        ("a b, 'c' é 🫁.png", "a b, 'c' é 🫁.png"),
        ("a=b.png", "a=b.png"),
        ("=1+1.png", r"\x3d1+1.png"),
        ("-x.png", r"\x2dx.png"),
        ("＝1.png", r"\xef\xbc\x9d1.png"),
        ("a\\b.png", r"a\\b.png"),
        ("a\nb.png", r"a\nb.png"),
        ("a\tb\r.png", r"a\x09b\x0d.png"),
        ("a\x85b.png", r"a\xc2\x85b.png"),
        (os.fsdecode(b"a\xff.png"), r"a\xff.png"),
        (r"a\xff.png", r"a\\xff.png"),
        (r"a\n.png", r"a\\n.png"),
    ],
)
def test_escapes_are_those_of_the_contract(path: str, cell: str) -> None:
    assert escape_path(path) == cell
    assert unescape_path(cell) == path


def test_the_header_follows_the_models_order_of_classes() -> None:
    assert columns(["normal", "covid"]) == [
        "path",
        "status",
        "reason",
        "prediction",
        "probability_normal",
        "probability_covid",
    ]


def test_the_table_has_six_decimals_empty_cells_for_failures_and_newline_ends() -> None:
    rows = [Row("a.png", None, "covid", (0.75, 0.25)), Row('b,"c".png', Reason.TRUNCATED, detail="half")]
    assert to_csv(rows, ["covid", "normal"]) == (
        "path,status,reason,prediction,probability_covid,probability_normal\n"
        "a.png,ok,,covid,0.750000,0.250000\n"
        '"b,""c"".png",error,truncated,,,\n'
    )
