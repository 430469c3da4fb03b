"""A table in the form that REDCap imports: records, and the data dictionary that makes their fields.

REDCap's variables are lower-case letters, digits and underscores, begin with a letter and should not be longer than 26
characters; the first one identifies the record.
"""

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cxr.core.files import whole_file, write_text
from cxr.core.tabular_files import snake_case

RECORD_ID = "record_id"
LONGEST = 26  # characters of a variable
_CODE = re.compile(r"\w+", re.ASCII)  # of a choice
_DIGITS = 16  # of a record's name
# As REDCap heads the columns of a dictionary.
DICTIONARY = (
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
)


class FieldType(StrEnum):
    """What a field holds."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    YES_NO = "yesno"  # 1 and 0
    CHOICE = "dropdown"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedcapField:
    """A field of a form.

    Attributes:
        name: Of its variable, see `variables`.
        label: What people read.
        type: What it holds.
        words: Of a choice: what its cells may be.
        note: Below the field.
        low: Smallest number; empty where there is none, as of `high`.
        high: Largest number.
        identifies: Whether it may say of whom a film is.
    """

    name: str
    label: str
    type: FieldType = FieldType.TEXT
    words: tuple[str, ...] = ()
    note: str = ""
    low: str = ""
    high: str = ""
    identifies: bool = False


def variables(names: Iterable[str]) -> list[str]:
    """Return a variable for each name, all different: a name that is none is spelt as one, and a long one is cut."""
    taken: dict[str, None] = {}
    for name in names:
        wanted = _slug(name)[:LONGEST].rstrip("_")
        found, number = wanted, 2
        while found in taken:
            end = f"_{number}"
            found, number = f"{wanted[: LONGEST - len(end)]}{end}", number + 1
        taken[found] = None
    return list(taken)


def _slug(name: str) -> str:
    spelt = snake_case(name)
    return spelt if spelt[:1].isalpha() else f"v_{spelt}".rstrip("_")


def coded(words: Sequence[str]) -> dict[str, str]:
    """Return the code of each word: the word itself, or spelt as a variable where REDCap would not take it."""
    plain = [word for word in words if _CODE.fullmatch(word)]
    others = [word for word in words if word not in plain]
    spelt = dict(zip(others, variables((*plain, *others))[len(plain) :], strict=True))
    return {word: spelt.get(word, word) for word in words}


def record_id(*parts: str) -> str:
    """Return the name of a record, which the parts alone give: the same one again, wherever else it stands."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_DIGITS]


def dictionary_beside(path: Path) -> Path:
    """Return the name of the dictionary of the records in `path`."""
    return path.with_name(f"{path.stem}.dictionary.csv")


def write_redcap(
    path: Path, form: str, what: str, fields: Sequence[RedcapField], rows: Iterable[Sequence[str]]
) -> None:
    """Write records, and their dictionary beside them.

    Args:
        path: Of the records, in CSV.
        form: Name of the form.
        what: What a record is, for people.
        fields: Without that of the record's name.
        rows: The name of each record, then the cells of its fields; of a choice the word or its code.

    Raises:
        OutputError: A file cannot be written.
    """
    whole = (RedcapField(name=RECORD_ID, label=what), *fields)
    codes = [coded(field.words) for field in whole]
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in whole])
        writer.writerows([code.get(cell, cell) for code, cell in zip(codes, row, strict=True)] for row in rows)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([DICTIONARY, *(_entry(form, field) for field in whole)])
    write_text(dictionary_beside(path), text.getvalue())


def _entry(form: str, field: RedcapField) -> list[str]:
    """Return a field's row of the dictionary."""
    numeric = field.type in (FieldType.INTEGER, FieldType.NUMBER)
    cells = {
        "Variable / Field Name": field.name,
        "Form Name": form,
        "Field Type": FieldType.TEXT if numeric else field.type,
        "Field Label": field.label,
        "Choices, Calculations, OR Slider Labels": " | ".join(_choices(field)),
        "Field Note": field.note,
        "Text Validation Type OR Show Slider Number": field.type if numeric else "",
        "Text Validation Min": field.low,
        "Text Validation Max": field.high,
        "Identifier?": "y" if field.identifies else "",
    }
    return [cells.get(column, "") for column in DICTIONARY]


def _choices(field: RedcapField) -> Iterator[str]:
    for word, code in coded(field.words).items():
        yield f"{code}, {word.replace('_', ' ').replace('|', '/')}"
