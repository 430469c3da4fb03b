"""What REDCap asks of records and of their dictionary."""

import csv
import re
from pathlib import Path

# As REDCap heads them; it refuses a dictionary with others.
COLUMNS = [
    "Variable / Field Name",
    "Form Name",
    "Section Header",
    "Field Type",
    "Field Label",
    "Choices, Calculations, OR Slider Labels",
    "Field Note",
    "Text Validation Type OR Show Slider Number",
    "Text Validation Min",
    "Text Validation Max",
    "Identifier?",
    "Branching Logic (Show field only if...)",
    "Required Field?",
    "Custom Alignment",
    "Question Number (surveys only)",
    "Matrix Group Name",
    "Matrix Ranking?",
    "Field Annotation",
]


def read_redcap(path: Path) -> tuple[list[dict[str, str]], dict[str, dict[str, str]]]:
    """Return the records, and the entries of the dictionary beside them by variable, after checking both."""
    with path.open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    with path.with_name(f"{path.stem}.dictionary.csv").open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        entries = list(reader)
    assert reader.fieldnames == COLUMNS
    fields = {one["Variable / Field Name"]: one for one in entries}
    assert len(fields) == len(entries)
    assert next(iter(fields)) == "record_id"
    assert all(re.fullmatch("[a-z][a-z0-9_]{0,25}", name) for name in fields), list(fields)
    assert all(list(one) == list(fields) for one in records)
    assert len({one["record_id"] for one in records}) == len(records)
    for one in records:
        for name, cell in one.items():
            assert not cell or is_cell(cell, fields[name]), (name, cell)
    return records, fields


def codes_of(field: dict[str, str]) -> list[str]:
    """Return the codes of a choice."""
    return [choice.partition(",")[0].strip() for choice in field["Choices, Calculations, OR Slider Labels"].split("|")]


def is_cell(cell: str, field: dict[str, str]) -> bool:
    """Tell whether REDCap takes a cell of a field that is not empty."""
    validation = field["Text Validation Type OR Show Slider Number"]
    if field["Field Type"] == "yesno":
        return cell in ("0", "1")
    if field["Field Type"] == "dropdown":
        return cell in codes_of(field)
    if validation == "integer":
        return bool(re.fullmatch(r"-?\d+", cell))
    if validation == "number":
        low, high = (field[f"Text Validation {end}"] for end in ("Min", "Max"))
        return float(low or "-inf") <= float(cell) <= float(high or "inf")
    return field["Field Type"] == "text"
