"""Tables that people fill in, as text or as an Excel workbook; a workbook gives the cells that its CSV would have."""

import datetime
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from cxr.core.errors import DataError
from cxr.core.text_files import WORKBOOK, IsHeader, Table, header_among, holds, read_csv, table_of, unreadable

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
        required: As in `text_files.read_csv`.
        name: What sentences call it; None: its path.
        sheet: Of a workbook; None: the first one to be seen that has a header, or else cells.
        is_header: As in `text_files.read_csv`.

    Returns:
        The table, and the name of its sheet; None where it is text.

    Raises:
        DataError: As `text_files.read_csv`; or it is no whole workbook, or has no such sheet.
    """
    called = str(path) if name is None else name
    try:
        with path.open("rb") as file:
            is_workbook = file.read(len(WORKBOOK)) == WORKBOOK
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
    headed = (name for name, rows in sheets.items() if header_among(rows, is_header) is not None)
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
