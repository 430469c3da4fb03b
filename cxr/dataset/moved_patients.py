"""Carry `patients.csv` over when the files it names get other paths."""

import csv
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from cxr.errors import DataError

FILE_COLUMN, PATIENT_COLUMN = "file", "patient_id"


def move_patients(source: Path, target: Path, places: Mapping[PurePosixPath, PurePosixPath]) -> int:
    r"""Write the lines of `source` to `target` with the new paths.

    Args:
        source: CSV with the columns file and patient_id; others are kept. Paths may be written with `\` or `./`.
        target: Written anew; byte for byte `source` where no path changes.
        places: New path by old path, both as the tables should name them.

    Returns:
        Number of lines left out because they name no file in `places`.

    Raises:
        DataError: The table cannot be read or lacks a column.
    """
    header, rows = _read(source)
    column, kept = header.index(FILE_COLUMN), []
    for row in rows:
        place = places.get(PurePosixPath(row[column].replace("\\", "/")))
        if place is not None:
            kept.append([*row[:column], str(place), *row[column + 1 :]])
    if kept == rows:
        shutil.copyfile(source, target)
        return 0
    with target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *kept])
    return len(rows) - len(kept)


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = [row for row in csv.reader(file) if row] or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name} cannot be read as CSV in UTF-8: {error}; repair or remove it") from error
    if not {FILE_COLUMN, PATIENT_COLUMN} <= set(header):
        raise DataError(
            f"{path.name} has the columns {', '.join(header) or 'none'}; expected {FILE_COLUMN} and {PATIENT_COLUMN}. "
            "Rename its columns, or remove it"
        )
    short = next((number for number, row in enumerate(rows, start=2) if len(row) != len(header)), None)
    if short is not None:
        raise DataError(f"{path.name}: row {short} has not as many values as the head; repair or remove it")
    return header, rows
