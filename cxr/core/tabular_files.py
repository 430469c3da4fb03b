"""Tables and lists as people save them: text in any encoding that is certain, with any of four separators, or Excel.

Excel, PowerShell and Notepad write byte order marks, UTF-16, semicolons and lines that end in CR LF. What cannot be
read for certain is refused in one sentence, the same for every file: which file, which row, what to do. A workbook
gives the cells that its CSV would have.
"""

import codecs
import csv
import datetime
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, NoReturn

from cxr.core.errors import DataError

HEAD = 1 << 16  # bytes by which a form is told
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_SAVE = "save it in Excel as 'CSV UTF-8 (Comma delimited)', in Notepad with the encoding UTF-8"
_MARKS = (  # the longer first: that of UTF-32 begins as that of UTF-16 does
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_UNMARKED = ("utf-16-le", "utf-16-be")
# Two bytes of ASCII taken for one of UTF-16 lie above; Latin, Greek, Cyrillic and Hebrew letters below.
_FIRST_UNLIKELY = "\u0600"
_SIGNS = frozenset("\r\n./\\,;\t")  # of a list or a table; a list of names of one letter, with NUL between, has none
# What people call the column of the files' names, in the order in which they are looked for.
PATH_NAMES = ("path", "file", "filename", "file_name", "image")
_WORKBOOK = b"PK\3\4"  # how a zip file begins, which an Excel workbook is
_WORKBOOKS = (
    (_WORKBOOK, "an Excel workbook or another zip file"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook of the old kind (.xls) or with a password"),
)
_QUOTED = re.compile(r'"[^"]*"')
_LINE_END = re.compile(r"\r\n|\r|\n")
_TOLD = re.compile(r'"?sep=([,;\t|])"?[,;\t|]*(?=[\r\n]|\Z)', re.IGNORECASE)
# Of no other words: a picture may be called #TYPE 1.png.
_TYPE = re.compile(r'"?#TYPE (?:System|Selected|Deserialized|Microsoft)\.[^\r\n/\\]*(?=[\r\n]|\Z)')
_A_TYPE = "a type"
_WORDS = re.compile(r"[^\r\n]*\w[^\r\n]*")
_SHOWN = 100  # characters of a file in a sentence
# A second byte order mark where files were joined, marks of direction that Windows' dialogs copy along with a path, and
# the end of a file of DOS: nobody sees them.
_UNSEEN = "\ufeff\u200b\u200e\u200f\u202a\u202c\x1a"


@dataclass(frozen=True, slots=True)
class TextForm:
    """How a file writes its text, by its first HEAD bytes.

    Attributes:
        codec: What Python calls the encoding; takes the byte order mark away.
        encoding: What people call it.
        has_mark: Whether there is a byte order mark.
        line_end: That of the first line; empty where it has none.
        separator: One of SEPARATORS, as the first line of a table has most of; the comma where it has none.
        preface: What a first line that is no part of the table names: the separator, as in `sep=;`, or the type of
            what PowerShell exported, as in `#TYPE System.IO.FileInfo`; empty where the table begins at once.
    """

    codec: str
    encoding: str
    has_mark: bool
    line_end: str
    separator: str
    preface: str

    @property
    def oddities(self) -> tuple[str, ...]:
        """What this form has that plain CSV (UTF-8, commas, lines that end in LF) has not; words for people."""
        found = (
            (self.encoding != "UTF-8", f"the encoding {self.encoding}"),
            (self.has_mark and self.encoding == "UTF-8", "a byte order mark"),
            (self.separator != ",", f"{SEPARATORS[self.separator]}s between cells"),
            (bool(self.preface), f"a first line that names {self.preface}"),
            (self.line_end == "\r\n", "lines that end in CR LF"),
            (self.line_end == "\r", "lines that end in CR"),
        )
        return tuple(words for holds, words in found if holds)


def form_of(head: bytes) -> TextForm:
    """Tell the form of a text by its first bytes; what has no mark and is not certainly UTF-16 counts as UTF-8."""
    codec, encoding, has_mark = _encoding_of(head)
    text = codecs.getincrementaldecoder(codec)("replace").decode(head)
    line_end, told, typed = _LINE_END.search(text), _TOLD.match(text), _TYPE.match(text)
    words = _first_words(text[typed.end() :] if typed else text)
    separator = told[1] if told else max(SEPARATORS, key=_QUOTED.sub("", words).count)
    preface = "the separator" if told else _A_TYPE if typed else ""
    return TextForm(codec, encoding, has_mark, line_end[0] if line_end else "", separator, preface)


def _first_words(text: str) -> str:
    """Return the first line that has more than separators; where there is none, all of the text."""
    found = _WORDS.search(text)
    return found[0] if found else text


def _encoding_of(head: bytes) -> tuple[str, str, bool]:
    for mark, codec, encoding in _MARKS:
        if head.startswith(mark):
            return codec, encoding, True
    for codec in _UNMARKED if b"\0" in head else ():
        text = head[: len(head) // 2 * 2].decode(codec, "replace")
        if "\0" not in text and max(text, default="\0") < _FIRST_UNLIKELY and len(text) > 1 and _SIGNS & set(text):
            return codec, "UTF-16", False
    return "utf-8", "UTF-8", False


def bare(text: str) -> str:
    """Return a cell or a line without the blanks, and the marks that nobody sees, at both ends."""
    return text.strip().strip(_UNSEEN).strip()


def snake_case(text: str) -> str:
    """Return lower-case letters without accents and digits, with `_` for all else: `viral_pneumonia`, `neumonia`."""
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def decode_text(data: bytes, name: str) -> str:
    """Return the text of a file's bytes, without byte order mark, line ends as they are; `name` is for the sentence.

    Raises:
        DataError: They are no text, or in an encoding that cannot be told.
    """
    refuse_workbook(data, name)
    form = form_of(data[:HEAD])
    try:
        text = data.decode(form.codec)
    except UnicodeDecodeError:
        _refuse_bytes(data, form, name)
    if "\0" in text:
        raise _no_text(name, text[: text.index("\0")].count("\n") + 1)
    return text


def refuse_workbook(head: bytes, name: str) -> None:
    """Raise DataError for a workbook where text is expected, with how to save it."""
    for mark, what in _WORKBOOKS:
        if head.startswith(mark):
            raise DataError(f"{name} is {what}, and no text; {_SAVE}")


class Row(NamedTuple):
    """A row of a table: its number as a spreadsheet shows it, the header's is 1; and its cells, as many as columns."""

    number: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it is being read.

    Attributes:
        header: Names of the columns, each once; those that were asked for as they were asked for.
        rows: Below it; empty ones are left out. Can be read once, and raises DataError as `read_csv` does.
        header_row: The header's number.
    """

    header: tuple[str, ...]
    rows: Iterator[Row]
    header_row: int = 1


IsHeader = Callable[[Sequence[str]], bool]
_DEEPEST = 20  # rows that are not empty, among which a header is looked for: above it people write titles


def _header_among(rows: Iterable[list[str]], is_header: IsHeader) -> int | None:
    """Return the place of the header among the first rows of a table; None where none of them is one."""
    filled = ((place, cells) for place, cells in enumerate(rows) if any(map(bare, cells)))
    return next((place for place, cells in islice(filled, _DEEPEST) if is_header(tuple(map(bare, cells)))), None)


def holds(required: Sequence[str]) -> IsHeader:
    """Return what tells a row that names all required columns; where none is, any row does."""
    wanted = {name.casefold() for name in required}
    return lambda names: wanted <= {name.casefold() for name in names}


def read_csv(
    path: Path,
    required: Sequence[str] = (),
    optional: Sequence[str] | None = None,
    name: str | None = None,
    is_header: IsHeader | None = None,
) -> Table:
    """Begin to read a table as text; memory does not grow with its rows.

    Args:
        path: A file in any form that `TextForm` can tell. A cell between quotation marks may hold line breaks.
        required: Columns that it must have; letter case and blanks around them do not count. A row may end early
            behind the last of them; where none is required, nowhere.
        optional: Columns that it may have beside them; None: any.
        name: What sentences call it; None: its path.
        is_header: Tells the header, above which there may be other rows; None: it has the required columns. Where no
            row is one, the first row is.

    Raises:
        DataError: It cannot be read, is in an encoding that cannot be told, or is not such a table.
    """
    called = str(path) if name is None else name
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise unreadable(called, error) from error
    refuse_workbook(head, called)
    known = is_header or holds(required)
    form = _with_separator(form_of(head), head, known)
    return table_of(_rows(path, form, called), required, optional, called, form.separator, known)


def _with_separator(form: TextForm, head: bytes, is_header: IsHeader) -> TextForm:
    """Return the form with the separator that gives a header: a title above it may have none, or another one."""
    lines = codecs.getincrementaldecoder(form.codec)("replace").decode(head).splitlines()
    for separator in (form.separator, *SEPARATORS):
        if _header_among(csv.reader(lines, delimiter=separator), is_header) is not None:
            return replace(form, separator=separator)
    return form


def table_of(
    rows: Iterable[list[str]],
    required: Sequence[str] = (),
    optional: Sequence[str] | None = None,
    name: str = "the table",
    separator: str = ",",
    is_header: IsHeader | None = None,
) -> Table:
    """Check rows of cells and give them as a table; see `read_csv` for the rest."""
    every = iter(rows)
    first = list(islice(every, _DEEPEST * 2))
    above = _header_among(first, is_header or holds(required)) or 0
    numbered = (
        (number, cells)
        for number, cells in enumerate(chain(first[above:], every), start=above + 1)
        if any(map(bare, cells))
    )
    header_row, header = next(numbered, (0, []))
    expected = _expected(required, optional)
    if not header:
        raise DataError(f"{name} is empty{f'; expected {expected}' if expected else ''}; fill it in, or remove it")
    names = _names(_without_empty_end(header), (*required, *(optional or ())))
    twice = [column for column, count in Counter(filter(None, names)).items() if count > 1]
    if twice:
        raise DataError(f"{name} has the column {_shown(twice[0])} twice; remove or rename one of them")
    unknown = set() if optional is None else set(names) - {*required, *optional}
    if unknown or not set(names) >= set(required):
        shown = ", ".join(column or "one without a name" for column in names)
        raise DataError(
            f"{name} has the columns {_shown(shown)}; expected {expected}. Name its columns so in its first row, "
            "with commas, semicolons or tabs between"
        )
    least = max(map(names.index, required)) + 1 if required else len(names)
    return Table(names, _checked(numbered, least, len(names), name, SEPARATORS[separator]), header_row)


def _expected(required: Sequence[str], optional: Sequence[str] | None) -> str:
    if not required:
        return ""
    known = f" and, if known, {' and '.join(optional)}" if optional else ""
    return f"the columns {','.join(required)}{known}"


def _names(header: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    spelt = {column.casefold(): column for column in known}
    return tuple(spelt.get(name.casefold(), name) for name in map(bare, header))


def _without_empty_end(cells: list[str], least: int = 0) -> list[str]:
    """Return cells without the empty ones at the end, which spreadsheets add; never fewer than `least`."""
    end = len(cells)
    while end > least and not bare(cells[end - 1]):
        end -= 1
    return cells[:end]


def _checked(
    rows: Iterable[tuple[int, list[str]]], least: int, columns: int, name: str, separator: str
) -> Iterator[Row]:
    """Give rows of `columns` cells; Excel leaves out empty ones at the end, which may only be beyond the `least`."""
    for number, found in rows:
        cells = found if len(found) == columns else _without_empty_end(found, columns)
        if len(cells) >= least:
            cells = [*cells, *[""] * (columns - len(cells))]
        if len(cells) != columns:
            raise DataError(
                f"{name}, row {number}, has too {'few' if len(cells) < columns else 'many'} cells: {len(cells)}, and "
                f"the header has {columns}; give every row as many cells as the header, and put a cell that holds a "
                f"{separator} between quotation marks"
            )
        yield Row(number, cells)


def _rows(path: Path, form: TextForm, name: str) -> Iterator[list[str]]:
    lines = read_lines(path, form, name)
    if form.preface:
        next(lines)
    if form.preface == _A_TYPE:  # a row of its own in a spreadsheet
        yield []
    rows = csv.reader(lines, delimiter=form.separator, strict=True)
    number = 0
    try:
        for number, row in enumerate(rows, start=1):  # noqa: B007  for the sentence
            yield row
    except csv.Error as error:
        raise DataError(
            f"{name}, row {number + 1}, has a quotation mark that does not end its cell; close it, or write it twice "
            "where it is a part of the cell"
        ) from error


def read_lines(path: Path, form: TextForm, name: str) -> Iterator[str]:
    """Give the lines of a file with their line ends.

    Raises:
        DataError: The file cannot be read, or has bytes that are no text; calls it `name`.
    """
    try:
        with path.open(encoding=form.codec, newline="") as file:
            for number, line in enumerate(file, start=1):
                if "\0" in line:
                    raise _no_text(name, number)
                yield line
    except OSError as error:
        raise unreadable(name, error) from error
    except UnicodeDecodeError:
        _refuse_bytes(path.read_bytes(), form, name)


def unreadable(name: str, error: OSError) -> DataError:
    """Return the sentence of a file that cannot be opened."""
    return DataError(f"{name} cannot be read: {error.strerror or 'no such file'}; give a file that you may read")


def require_utf8(line: bytes, number: int, name: str) -> None:
    """Raise DataError for a line that is not UTF-8; quotes it as Windows shows it in Western Europe."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        shown = _shown(line.decode("cp1252", "replace").strip())
        raise DataError(f"{name}, line {number}, is not UTF-8 but perhaps Windows-1252: '{shown}'; {_SAVE}") from error


def _shown(text: str) -> str:
    """Return what a file says as a sentence may quote it: on one line, and not too long."""
    seen = "".join(character if character.isprintable() else "\ufffd" for character in text[:_SHOWN])
    return f"{seen}{'...' if len(text) > _SHOWN else ''}"


def _refuse_bytes(data: bytes, form: TextForm, name: str) -> NoReturn:
    if form.encoding == "UTF-8":
        if b"\0" in data:
            raise _no_text(name, data[: data.index(b"\0")].count(b"\n") + 1)
        for number, line in enumerate(data.splitlines(), start=1):
            require_utf8(line, number, name)
    raise DataError(f"{name} is {form.encoding}, and damaged or not whole; copy it again, or {_SAVE}")


def _no_text(name: str, number: int) -> DataError:
    return DataError(f"{name}, line {number}, has a byte of value zero, as no text has; copy it again, or {_SAVE}")


# How Excel writes characters that XML has not, and `_x005F_` for what only looks like that.
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


def read_table(
    path: Path,
    required: Sequence[str] = (),
    name: str | None = None,
    sheet: str | None = None,
    is_header: IsHeader | None = None,
) -> tuple[Table, str | None]:
    """Begin to read a table, a workbook or text, whatever the file's name says.

    Args:
        path: Of the file.
        required: As in `read_csv`.
        name: What sentences call it; None: its path.
        sheet: Of a workbook; None: the first one to be seen that has a header, or else cells.
        is_header: As in `read_csv`.

    Returns:
        The table, and the name of its sheet; None where it is text.

    Raises:
        DataError: As `read_csv`; or it is no whole workbook, or has no such sheet.
    """
    called = str(path) if name is None else name
    try:
        with path.open("rb") as file:
            is_workbook = file.read(len(_WORKBOOK)) == _WORKBOOK
    except OSError as error:
        raise unreadable(called, error) from error
    if is_workbook:
        found, rows = _sheet(path, called, sheet, is_header or holds(required))
        return table_of(rows, required, name=called, is_header=is_header), found
    if sheet is not None:
        raise DataError(f"{called} is no Excel workbook (.xlsx), so it has no sheet '{sheet}'; leave out --sheet")
    return read_csv(path, required, name=name, is_header=is_header), None


Rows = list[list[str]]


def _sheet(path: Path, called: str, sheet: str | None, is_header: IsHeader) -> tuple[str, Rows]:
    """Return the name of a sheet and its rows, all of one length."""
    from openpyxl import load_workbook

    try:
        with path.open("rb") as file:  # by its name, openpyxl refuses what is a workbook for all its suffix
            pages = {page.title: page for page in load_workbook(file, data_only=True).worksheets}
    except Exception as error:  # a broken workbook raises from zipfile, XML or openpyxl
        raise DataError(
            f"{called} cannot be read as an Excel workbook; save it anew in Excel, or as 'CSV UTF-8'"
        ) from error
    if sheet is not None and sheet not in pages:
        raise DataError(f"{called} has no sheet '{sheet}'; it has {', '.join(pages) or 'none with cells'}")
    seen = [name for name, page in pages.items() if page.sheet_state == "visible"] or list(pages)
    found = {
        name: [list(map(_cell, row)) for row in pages[name].iter_rows(values_only=True)]
        for name in (seen if sheet is None else [sheet])
    }
    return _chosen(found, is_header)


def _chosen(sheets: Mapping[str, Rows], is_header: IsHeader) -> tuple[str, Rows]:
    """Return the first sheet with a header; else the first with cells, and else the first."""
    headed = (name for name, rows in sheets.items() if _header_among(rows, is_header) is not None)
    filled = (name for name, rows in sheets.items() if any(cell for row in rows for cell in row))
    name = next(chain(headed, filled, sheets), "")
    return name, sheets.get(name, [])


def _cell(value: object) -> str:
    """Return a cell as Excel's CSV has it: whole numbers without a point, days without midnight."""
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        value = value.date()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else unescaped(str(value))


def unescaped(text: str) -> str:
    """Return the text of a cell with the characters that Excel writes as `_x0001_`."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
