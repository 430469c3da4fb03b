"""`--redcap`: the rows of a finished table as records of REDCap, with the dictionary that makes their fields."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from cxr.core.files import start_of
from cxr.core.redcap import RECORD_ID, FieldType, RedcapField, record_id, variables, write_redcap
from cxr.screening.engine import Run
from cxr.screening.schema import EMPTY_SET, YES_NO, ResultColumn, Schema
from cxr.screening.tables import Kind, OutputFiles, read_table

FORM = "cxr_batch"
_WHAT = "One film: digits of the SHA-256 of its path"
# A variable has 26 characters, and names of networks and classes stand in it.
_SHORT = (("probability_", "p_"), ("prediction_set_", "possible_"), ("flags_", "flag_"))
_TYPES = {Kind.TEXT: FieldType.TEXT, Kind.INTEGER: FieldType.INTEGER, Kind.NUMBER: FieldType.NUMBER}
_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")

Record = Mapping[str, str]


def write_records(path: Path, work: Run, files: OutputFiles) -> None:
    """Write one record for each row, and beside it the dictionary.

    Args:
        path: Of the records.
        work: The finished run.
        files: Its table.

    Raises:
        OutputError: A file cannot be written.
    """
    records = read_table(files.results, work.format, work.schema.columns)
    write_redcap(path, FORM, _WHAT, fields_of(work.schema), ([*_cells(record, work.schema)] for record in records))


def is_records(path: Path) -> bool:
    """Tell whether a file begins as `write_records` begins one."""
    return start_of(path).startswith(f"{RECORD_ID},path,".encode())


def is_dictionary(path: Path) -> bool:
    """Tell whether a file begins as the dictionary of such records does."""
    return f"\n{RECORD_ID},{FORM},".encode() in start_of(path)


def fields_of(schema: Schema) -> list[RedcapField]:
    """Return the fields of a table: one a column, and of one whose cells have several words one for each word."""
    found = [(column, word) for column in schema.columns for word in (column.words if column.many else ("",))]
    names = variables(_name(column, word) for column, word in found)
    return [_field(column, word, name) for (column, word), name in zip(found, names, strict=True)]


def _name(column: ResultColumn, word: str) -> str:
    name = f"{column.name}_{word}" if word else column.name
    for long, short in _SHORT:
        name = name.replace(long, short)
    return name


def _field(column: ResultColumn, word: str, name: str) -> RedcapField:
    closed = bool(column.words)
    return RedcapField(
        name=name,
        label=_label(f"{column.name}: {word}" if word else column.name),
        type=FieldType.YES_NO
        if word or column.words == YES_NO
        else FieldType.CHOICE
        if closed
        else _TYPES[column.kind],
        words=() if word or column.words == YES_NO else column.words,
        note=_note(column, word),
        low="0" if column.kind is not Kind.TEXT else "",
        high="1" if column.kind is Kind.NUMBER else "",
        identifies=column.identifies,
    )


def _note(column: ResultColumn, word: str) -> str:
    plain = _LINK.sub(r"\1", column.content).replace("`", "")
    return plain.partition(", separated by spaces")[0] if word else plain


def _label(name: str) -> str:
    plain = name.replace("_", " ")
    return f"{plain[:1].upper()}{plain[1:]}"


def _cells(record: Record, schema: Schema) -> Iterator[str]:
    yield record_id(record["path"])
    for column in schema.columns:
        cell = record[column.name]
        if column.many:
            yield from _yes_or_no(column, cell, decoded=bool(record["width"]))
        else:
            yield str(int(cell == YES_NO[0])) if cell and column.words == YES_NO else cell


def _yes_or_no(column: ResultColumn, cell: str, *, decoded: bool) -> Iterator[str]:
    """Give 1 or 0 for each word; nothing where nobody looked. A picture without flags has an empty cell."""
    looked = bool(cell) or (decoded and column.name == "flags")
    words = set(cell.split()) - {EMPTY_SET}
    for word in column.words:
        yield str(int(word in words)) if looked else ""
