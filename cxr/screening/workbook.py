"""Excel workbooks of one table and a summary: written row by row, equal bytes for equal cells; and read back.

The few parts that such a workbook needs are written as they are (ECMA-376, Part 1): libraries keep rows in temporary
files, which a run that is stopped leaves behind, and date what they write.
"""

import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import ParseError

from cxr.core.errors import DataError, OutputError
from cxr.core.tabular_files import unescaped

Value = str | int | float | None

TABLE, SUMMARY = "results", "summary"  # names of sheets
SHEET_ROWS = 1 << 20  # that a sheet can have, its header among them; further ones go to `results 2`, ...
CELL_SIZE = 32_767  # characters
_NARROWEST, _WIDEST = 8, 48  # characters of a column
_MEASURED = 100  # rows by which the width of a column is chosen
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest moment that an entry of a ZIP file can have
# XML has no such characters, so Excel writes them as _xFFFE_, and what looks like that as _x005F_xFFFE_.
_NOT_PLAIN = re.compile(r"[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")

_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SHEETS = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_SIX_DECIMALS, _BOLD = ' s="1"', ' s="2"'  # places among cellXfs
_STYLES = (
    f'<styleSheet {_MAIN}><numFmts count="1"><numFmt numFmtId="164" formatCode="0.000000"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>'
    '</fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="3"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)


def write_workbook(
    path: Path,
    header: Sequence[str],
    rows: Iterable[Sequence[Value]],
    summary: Callable[[], Iterable[Sequence[Value]]] | None = None,
    sheet_rows: int = SHEET_ROWS,
) -> None:
    """Write a table with a frozen header and a filter; memory does not grow with the rows.

    Args:
        path: Of the workbook.
        header: Names of the columns.
        rows: Their values. Text stays text, whatever it begins with: no cell is a formula.
        summary: Gives the rows of a second sheet once all `rows` are taken; a row of one value is a title. None: no
            such sheet.
        sheet_rows: That a sheet has at most.

    Raises:
        OutputError: A cell is longer than a workbook can hold.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        book, left = _Book(archive), iter(rows)
        while (first := list(islice(left, 1))) or not book.sheets:
            name = f"{TABLE} {len(book.sheets) + 1}" if book.sheets else TABLE
            book.add_table(name, header, chain(first, islice(left, sheet_rows - 2)))
        if summary is not None:
            book.add_summary(list(summary()))
        book.finish()


@dataclass
class _Book:
    """A workbook that is being written.

    Attributes:
        archive: Its file.
        sheets: The names of its sheets so far.
        filters: Number, from 0, and cells of each sheet that has a filter.
    """

    archive: zipfile.ZipFile
    sheets: list[str] = field(default_factory=list)
    filters: list[tuple[int, str]] = field(default_factory=list)

    def add_table(self, name: str, header: Sequence[str], rows: Iterator[Sequence[Value]]) -> None:
        letters = [_letters(number) for number in range(len(header))]
        measured = list(islice(rows, _MEASURED))
        # The sign that opens a filter needs room beside the name.
        titles = [f"{title}   " for title in header]
        with self._sheet(name) as file:
            pane = '<pane xSplit="1" ySplit="1" topLeftCell="B2" activePane="bottomRight" state="frozen"/>'
            selected = ' tabSelected="1"' if len(self.sheets) == 1 else ""
            _write(file, f'<sheetViews><sheetView{selected} workbookViewId="0">{pane}</sheetView></sheetViews>')
            _write(file, _columns([titles, *measured]))
            _write(file, f"<sheetData>{_row(letters, 1, header, _BOLD)}")
            number = 1
            for number, row in enumerate(chain(measured, rows), start=2):
                _write(file, _row(letters, number, row))
            cells = f"A1:{letters[-1]}{number}"
            _write(file, f'</sheetData><autoFilter ref="{cells}"/></worksheet>')
        corner, end = (re.sub(r"([A-Z]+)(\d+)", r"$\1$\2", one) for one in cells.split(":"))
        self.filters.append((len(self.sheets) - 1, f"'{name}'!{corner}:{end}"))

    def add_summary(self, rows: Sequence[Sequence[Value]]) -> None:
        letters = [_letters(number) for number in range(max(map(len, rows), default=1))]
        with self._sheet(SUMMARY) as file:
            _write(file, _columns([row for row in rows if len(row) > 1]))
            _write(file, "<sheetData>")
            for number, row in enumerate(rows, start=1):
                _write(file, _row(letters, number, row, _BOLD if len(row) == 1 else ""))
            _write(file, "</sheetData></worksheet>")

    def finish(self) -> None:
        numbers = range(1, len(self.sheets) + 1)
        sheets = "".join(
            f'<sheet name="{name}" sheetId="{number}" r:id="rId{number}"/>'
            for number, name in zip(numbers, self.sheets, strict=True)
        )
        filters = "".join(
            f'<definedName name="_xlnm._FilterDatabase" localSheetId="{number}" hidden="1">{cells}</definedName>'
            for number, cells in self.filters
        )
        self._add(
            "xl/workbook.xml",
            f'<workbook {_MAIN} xmlns:r="{_OFFICE}"><bookViews><workbookView/></bookViews><sheets>{sheets}</sheets>'
            f"<definedNames>{filters}</definedNames></workbook>",
        )
        targets = {f"rId{number}": ("worksheet", f"worksheets/sheet{number}.xml") for number in numbers}
        self._add("xl/_rels/workbook.xml.rels", _relations({**targets, "rIdS": ("styles", "styles.xml")}))
        self._add("xl/styles.xml", _STYLES)
        self._add("_rels/.rels", _relations({"rId1": ("officeDocument", "xl/workbook.xml")}))
        kinds = {"/xl/workbook.xml": f"{_SHEETS}.sheet.main+xml", "/xl/styles.xml": f"{_SHEETS}.styles+xml"}
        kinds |= {f"/xl/worksheets/sheet{number}.xml": f"{_SHEETS}.worksheet+xml" for number in numbers}
        parts = "".join(f'<Override PartName="{part}" ContentType="{kind}"/>' for part, kind in kinds.items())
        self._add(
            "[Content_Types].xml",
            f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Default Extension="xml" ContentType="application/xml"/>{parts}</Types>',
        )

    def _sheet(self, name: str) -> IO[bytes]:
        self.sheets.append(name)
        # Its size is not known before, and a million rows may need more than 4 GiB.
        file = self.archive.open(_entry(f"xl/worksheets/sheet{len(self.sheets)}.xml"), "w", force_zip64=True)
        _write(file, f"{_HEAD}<worksheet {_MAIN}>")
        return file

    def _add(self, name: str, xml: str) -> None:
        self.archive.writestr(_entry(name), f"{_HEAD}{xml}")


def _entry(name: str) -> zipfile.ZipInfo:
    """Return an entry with the time that all have, so that equal content gives equal bytes."""
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _relations(targets: dict[str, tuple[str, str]]) -> str:
    those = "".join(
        f'<Relationship Id="{name}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for name, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{those}</Relationships>'


def _write(file: IO[bytes], xml: str) -> None:
    file.write(xml.encode())


def _letters(number: int) -> str:
    """Return the name of a column: A for 0, AA for 26."""
    first, last = divmod(number, 26)
    return f"{_letters(first - 1) if first else ''}{chr(ord('A') + last)}"


def _columns(rows: Sequence[Sequence[Value]]) -> str:
    """Return widths by the longest of each column's values; nothing of no rows."""
    widest = [max(len(_shown(row[place])) for row in rows if len(row) > place) for place in range(max(map(len, rows)))]
    those = "".join(
        f'<col min="{number}" max="{number}" width="{min(max(width, _NARROWEST), _WIDEST) + 1}" customWidth="1"/>'
        for number, width in enumerate(widest, start=1)
    )
    return f"<cols>{those}</cols>"


def _shown(value: Value) -> str:
    return "" if value is None else f"{value:.6f}" if isinstance(value, float) else str(value)


def _row(letters: Sequence[str], number: int, values: Sequence[Value], style: str = "") -> str:
    cells = "".join(_cell(f"{letter}{number}", value, style) for letter, value in zip(letters, values, strict=False))
    return f'<row r="{number}">{cells}</row>'


def _cell(place: str, value: Value, style: str) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, str):
        return f'<c r="{place}"{style} t="inlineStr"><is><t xml:space="preserve">{_text(value)}</t></is></c>'
    return f'<c r="{place}"{_SIX_DECIMALS if isinstance(value, float) else style}><v>{value!r}</v></c>'


def _text(text: str) -> str:
    written = _NOT_PLAIN.sub(lambda found: f"_x{ord(found[0]):04X}_", text)
    if len(written) > CELL_SIZE:
        raise OutputError(
            f"a cell that begins with {text[:40]!r} has {len(written):,} characters, and one of a workbook holds "
            f"{CELL_SIZE:,}; write the table as CSV: --format csv"
        )
    return escape(written, quote=False)


def read_workbook(path: Path) -> Iterator[list[Value]]:
    """Give the header and the rows of a table, as `write_workbook` or a spreadsheet after it wrote them.

    Raises:
        DataError: It has no sheet with the name of the table's.
        ValueError: It is no workbook.
        OSError: It cannot be read.
    """
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with path.open("rb") as file:
            book = load_workbook(file, read_only=True, data_only=True)
            sheets = [sheet for sheet in book.worksheets if re.fullmatch(rf"{TABLE}( \d+)?", sheet.title)]
            if TABLE not in [sheet.title for sheet in sheets]:
                titles = ", ".join(f"'{sheet.title}'" for sheet in book.worksheets)
                raise DataError(
                    f"{path} has no sheet '{TABLE}', but {titles or 'none with cells'}; expected a table of cxr-batch. "
                    f"Give the sheet that holds the table the name '{TABLE}'"
                )
            for number, sheet in enumerate(sheets):
                yield from islice(map(_values, sheet.iter_rows()), min(number, 1), None)
    except (zipfile.BadZipFile, KeyError, InvalidFileException, ParseError) as error:
        raise ValueError(f"no workbook: {error}") from error


def _values(row: Sequence[Any]) -> list[Value]:
    return [_value(cell) for cell in row]


def _value(cell: Any) -> Value:
    value = cell.value
    if isinstance(value, str):
        return unescaped(value)
    if isinstance(value, int) and not isinstance(value, bool) and cell.number_format == "0.000000":
        return float(value)  # other programs write 1 and 0 without a point
    return value if value is None or isinstance(value, int | float) else str(value)
