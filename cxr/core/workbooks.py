"""Tables that people fill in, as text or as an Excel workbook; a workbook gives the cells that its CSV would have."""

import datetime
import re
from collections.abc import Sequence
from pathlib import Path

from cxr.core.errors import DataError
from cxr.core.text_files import WORKBOOK, Table, read_csv, table_of, unreadable

# How Excel writes characters that XML has not, and `_x005F_` for what only looks like that.
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


def read_table(
    path: Path, required: Sequence[str] = (), name: str | None = None, sheet: str | None = None
) -> tuple[Table, str | None]:
    """Begin to read a table, a workbook or text, whatever the file's name says.

    Args:
        path: Of the file.
        required: As in `text_files.read_csv`.
        name: What sentences call it; None: its path.
        sheet: Of a workbook; None: the first one.

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
        found, rows = _sheet(path, called, sheet)
        return table_of(rows, required, name=called), found
    if sheet is not None:
        raise DataError(f"{called} is no Excel workbook (.xlsx), so it has no sheet '{sheet}'; leave out --sheet")
    return read_csv(path, required, name=name), None


def _sheet(path: Path, called: str, sheet: str | None) -> tuple[str, list[list[str]]]:
    """Return the name of a sheet and its rows, all of one length."""
    from openpyxl import load_workbook

    try:
        with path.open("rb") as file:  # by its name, openpyxl refuses what is a workbook for all its suffix
            pages = {page.title: page for page in load_workbook(file, data_only=True).worksheets}
    except Exception as error:  # a broken workbook raises from zipfile, XML or openpyxl
        raise DataError(
            f"{called} cannot be read as an Excel workbook; save it anew in Excel, or as 'CSV UTF-8'"
        ) from error
    name = next(iter(pages), "") if sheet is None else sheet
    if name not in pages:
        raise DataError(f"{called} has no sheet '{name}'; it has {', '.join(pages) or 'none with cells'}")
    return name, [list(map(_cell, row)) for row in pages[name].iter_rows(values_only=True)]


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
