# ruff: noqa: RUF001
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr.screening.paths import escape, printable, unescape

# What a POSIX file system can hold: any bytes but NUL.
file_names = st.one_of(
    st.binary(min_size=1).map(lambda raw: os.fsdecode(raw.replace(b"\0", b""))),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text("\\nx0af=+-@\t\n\"', é\u2028\udcff", max_size=12),
)


@given(file_names)
def test_unescaping_gives_the_path_back(path: str) -> None:
    assert unescape(escape(path)) == path


@given(file_names)
def test_an_escaped_path_is_one_line_of_utf8_that_is_no_formula(path: str) -> None:
    cell = escape(path)
    cell.encode("utf-8")
    assert len(cell.splitlines()) <= 1
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


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
    assert escape(path) == cell
    assert unescape(cell) == path


def test_what_is_printed_has_no_control_characters_and_keeps_backslashes() -> None:
    assert printable("C:\\share\x1b[31m\udcff=") == r"C:\share\x1b[31m\xff="
