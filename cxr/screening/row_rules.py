"""What must hold in every row of a table, whatever the files were: docs/results-csv.md as a program."""

import re
from collections.abc import Iterator, Mapping

from cxr.errors import Reason
from cxr.flags import Flag
from cxr.screening.decision_rules import broken_decisions, unanswered
from cxr.screening.gate_rules import broken_by_gate
from cxr.screening.heads import Head, Kind
from cxr.screening.rows import ELONGATED, REJECTING, Status
from cxr.screening.schema import Schema, agreement

TOLERANCE = 2e-6  # cells have six decimals: each is off by at most 5e-7, and three of them are added
_NUMBER = re.compile(r"[01]\.\d{6}")
_INTEGER = re.compile(r"\d+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def broken_rules(row: Mapping[str, str], schema: Schema) -> Iterator[str]:
    """Give a clause for each rule that `row`, all cells as text, breaks."""
    malformed = list(_forms(row, schema))
    yield from malformed
    if malformed:
        return
    yield from _status(row)
    yield from _flags(row)
    yield from broken_by_gate(row, schema)
    for head in schema.heads:
        yield from _answer(row, head)
    predictions = [row[f"{head.prefix}prediction"] for head in schema.heads]
    if len(schema.heads) > 1:
        expected = agreement(predictions) if all(predictions) else ""
        if row["agreement"] != expected:
            yield f"agreement is {row['agreement']!r}, the predictions give {expected!r}"


def _forms(row: Mapping[str, str], schema: Schema) -> Iterator[str]:
    patterns = {Kind.NUMBER: _NUMBER, Kind.INTEGER: _INTEGER}
    for column in schema.columns:
        cell, pattern = row[column.name], patterns.get(column.kind)
        if cell and pattern and not pattern.fullmatch(cell):
            yield f"{column.name} is {cell!r}; expected {'six decimals' if pattern is _NUMBER else 'a whole number'}"
    if row["sha256"] and not _SHA256.fullmatch(row["sha256"]):
        yield f"sha256 is {row['sha256']!r}"
    if row["status"] not in set(Status):
        yield f"status is {row['status']!r}; expected one of {', '.join(Status)}"
    if row["reason"] and row["reason"] not in set(Reason):
        yield f"reason is {row['reason']!r}, which is not in the vocabulary"
    unknown = set(row["flags"].split()) - set(Flag)
    if unknown:
        yield f"flags has {', '.join(sorted(unknown))}, not in the vocabulary"


def _status(row: Mapping[str, str]) -> Iterator[str]:
    status = Status.OK
    if row["reason"]:
        status = Status.REJECTED if row["reason"] in REJECTING else Status.ERROR
    if row["status"] != status:
        yield f"status is {row['status']!r}, but reason {row['reason']!r} gives {status.value!r}"
    if status is Status.OK and not (row["sha256"] and row["width"] and row["brightness"]):
        yield "status is 'ok', but sha256, width or brightness is empty"


def _flags(row: Mapping[str, str]) -> Iterator[str]:
    words = row["flags"].split()
    if words != [flag for flag in Flag if flag in words]:
        yield f"flags is {row['flags']!r}; expected each word once, in the order of docs/results-csv.md"
    if not (row["width"] and row["height"]):
        if words:
            yield f"flags is {row['flags']!r}, but nothing was decoded"
        return
    shorter, longer = sorted((int(row["width"]), int(row["height"])))
    if (longer > ELONGATED * shorter) != (Flag.ELONGATED in words):
        yield f"flags is {row['flags']!r}, but the picture has {row['width']} x {row['height']} pixels"
    if Flag.LATERAL in words and row["format"] != "DICOM":
        yield f"flags has lateral, which only a DICOM header says, but format is {row['format']!r}"


def _answer(row: Mapping[str, str], head: Head) -> Iterator[str]:
    if row[f"{head.prefix}model"] != head.identity:
        yield f"{head.prefix}model is {row[f'{head.prefix}model']!r}, the manifest says {head.identity!r}"
    names = [f"{head.prefix}probability_{name}" for name in head.classes]
    cells = [row[f"{head.prefix}{name}"] for name in ("prediction", "confidence", "margin")] + [row[n] for n in names]
    if not any(cells):
        if row["status"] == Status.OK:
            yield f"status is 'ok', but {head.prefix}prediction is empty"
        yield from unanswered(row, head)
        return
    if not all(cells):
        yield f"the answer of {head.identity} is incomplete"
        return
    yield from _numbers(row, head, [float(row[name]) for name in names])
    yield from broken_decisions(row, head)


def _numbers(row: Mapping[str, str], head: Head, values: list[float]) -> Iterator[str]:
    if abs(sum(values) - 1) > TOLERANCE:
        yield f"the probabilities of {head.identity} sum to {sum(values):.6f}"
    prediction = row[f"{head.prefix}prediction"]
    if prediction not in head.classes:
        yield f"{head.prefix}prediction is {prediction!r}; expected one of {', '.join(head.classes)}"
        return
    first, second = sorted(values, reverse=True)[:2]
    if values[head.classes.index(prediction)] < first:
        yield f"{head.prefix}prediction is {prediction!r}, which has not the largest probability"
    for name, expected in (("confidence", first), ("margin", first - second)):
        cell = row[f"{head.prefix}{name}"]
        if abs(float(cell) - expected) > TOLERANCE:
            yield f"{head.prefix}{name} is {cell}, the probabilities give {expected:.6f}"
