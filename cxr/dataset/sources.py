"""Where each image comes from, and of which patient: the sheets and tables that lie beside a release."""

import re
from pathlib import Path

import pandas as pd

from cxr.dataset.release import METADATA_SUFFIX, PATIENTS_FILE, label_of, read_release
from cxr.errors import DataError

NAME_COLUMN, SOURCE_COLUMN = "FILE NAME", "URL"
PATIENT_COLUMNS = ["file", "patient_id"]


def read_sources(root: Path) -> dict[str, str]:
    """Read the `<CLASS>.metadata.xlsx` sheets of a release.

    The sheets spell names as they like (`NORMAL-12` for `Normal-12.png`), so a class is compared by its label
    and a file by the last number of its name.

    Returns:
        Source by POSIX path relative to `root`; files that no sheet names are absent.

    Raises:
        DataError: A sheet cannot be read or lacks a column.
    """
    images = read_release(root).images
    found: dict[str, str] = {}
    for sheet in sorted(root.glob(f"*{METADATA_SUFFIX}")):
        label = label_of(sheet.name.removesuffix(METADATA_SUFFIX))
        by_key = _sheet(sheet)
        for path in images.get(label, []):
            source = by_key.get(_key(path.stem))
            if source:
                found[path.as_posix()] = source
    return found


def read_patients(root: Path) -> dict[str, str]:
    """Read `patients.csv` (columns file, patient_id) where there is one.

    Returns:
        Patient by POSIX path relative to `root`; unknown patients are absent.

    Raises:
        DataError: The table lacks a column or names a file twice.
    """
    path = root / PATIENTS_FILE
    if not path.is_file():
        return {}
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if not set(PATIENT_COLUMNS) <= set(table.columns):
        raise DataError(f"{path} has the columns {list(table.columns)}; expected {PATIENT_COLUMNS}")
    twice = table.loc[table["file"].duplicated(), "file"]
    if len(twice):
        raise DataError(f"{path} names {twice.iloc[0]} twice; each file has one patient")
    return {file: patient for file, patient in zip(table["file"], table["patient_id"], strict=True) if patient}


def _sheet(path: Path) -> dict[str, str]:
    try:
        table = pd.read_excel(path, dtype=str, keep_default_na=False)
    except Exception as error:  # a broken workbook raises from zipfile, XML or openpyxl
        raise DataError(f"{path} cannot be read as an Excel workbook: {error}; repair or remove it") from error
    if not {NAME_COLUMN, SOURCE_COLUMN} <= set(table.columns):
        raise DataError(f"{path} has the columns {list(table.columns)}; expected {NAME_COLUMN} and {SOURCE_COLUMN}")
    return {
        _key(Path(name).stem): url.strip() for name, url in zip(table[NAME_COLUMN], table[SOURCE_COLUMN], strict=True)
    }


def _key(stem: str) -> str:
    numbers = re.findall(r"\d+", stem)
    return numbers[-1].lstrip("0") if numbers else stem.casefold()
