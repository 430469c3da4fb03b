"""The tables of a synthetic release: metadata sheets and patients, with equal bytes for equal rows."""

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from openpyxl import Workbook
from openpyxl.writer.excel import ExcelWriter

COLUMNS = ("FILE NAME", "FORMAT", "SIZE", "URL")
PATIENT_COLUMNS = ("file", "patient_id")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest moment that a ZIP entry can have


def write_sheet(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write an XLSX file with the one sheet `Sheet1`: the row `COLUMNS`, then `rows`.

    Creation time and the times inside the ZIP are fixed, so equal rows give equal bytes.
    """
    workbook = Workbook()
    workbook.properties.created = workbook.properties.modified = datetime(*_EPOCH)
    sheet = workbook.worksheets[0]
    sheet.title = "Sheet1"
    for row in (COLUMNS, *rows):
        sheet.append(tuple(row))
    buffer = io.BytesIO()
    # Workbook.save would overwrite `modified` with the present moment.
    with zipfile.ZipFile(buffer, "w") as archive:
        ExcelWriter(workbook, archive).write_data()
    _copy_without_times(buffer, path)


def write_patients(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file with `PATIENT_COLUMNS` as its head, then `rows`; UTF-8, lines end in a line feed."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows((PATIENT_COLUMNS, *rows))


def _copy_without_times(source: io.BytesIO, path: Path) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(entry, old.read(name))
