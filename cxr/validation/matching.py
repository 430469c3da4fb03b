"""Which row of a table belongs to which label: by path, by the end of a path, or by a bare name where it is unique."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import DataError
from cxr.validation.labels import Label, LabelTable
from cxr.validation.results import ResultsTable

SHOWN = 20  # names of each kind in a report
_DRIVE = re.compile(r"[A-Za-z]:(?=[\\/])")


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """Files of one kind.

    Attributes:
        number: How many there are.
        first: Names of the first SHOWN of them.
    """

    number: int
    first: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MatchCounts:
    """How a table and its labels fit.

    Attributes:
        rows: Of the table.
        labels: Files with a label.
        labelled_rows: Rows with a label.
        rows_without_label: The others.
        labels_without_row: Labels of files that the table has not.
        ambiguous: Names that fit several rows.
        empty_labels: Files of the labels whose label is empty.
        repeated_labels: Rows of the labels that say again what another one says.
    """

    rows: int
    labels: int
    labelled_rows: int
    rows_without_label: NamedFiles
    labels_without_row: NamedFiles
    ambiguous: NamedFiles
    empty_labels: NamedFiles
    repeated_labels: NamedFiles


@dataclass(frozen=True, slots=True)
class Matched:
    """Rows with a label.

    Attributes:
        rows: int64 (n,), numbers of the table's rows, ascending.
        labels: Of those rows, in this order.
        names: What the labels call those files.
        counts: How many matched, and the first names of what did not.
    """

    rows: NDArray[np.int64]
    labels: tuple[Label, ...]
    names: tuple[str, ...]
    counts: MatchCounts


def match(table: ResultsTable, labels: LabelTable) -> Matched:
    r"""Find the row of each label.

    A path that stands in the table as it is comes first. Else one of both paths must be the end of the other, folder
    by folder, letter case aside: `D:\films\ward 1\a.png`, `ward 1/a.png` and `a.png` are then one file. Of several
    such rows the one with the most folders in common is meant; where that does not tell, none is.

    Raises:
        DataError: Nothing matches, or one file has several rows or several labels.
    """
    row_of = {path: number for number, path in enumerate(table.files)}
    ends = _ends(table)
    found: dict[int, tuple[str, Label]] = {}
    unscreened: list[str] = []
    ambiguous: list[str] = []
    repeated = list(labels.repeated)
    for places, label in labels.files:
        rows = {row_of[place] for place in places if place in row_of}
        if len(rows) > 1:
            raise DataError(f"{table.name} has several rows for {places[0]} of {labels.name}; screen each file once")
        if not rows:
            rows = _by_end(places[-1], ends)
        if len(rows) != 1:
            (ambiguous if rows else unscreened).append(places[0])
            continue
        (row,) = rows
        if row in found and found[row][1].says_the_same_as(label):
            repeated.append(places[0])
            continue
        if row in found:
            raise DataError(
                f"{labels.name} has two labels for {table.paths[row]} of {table.name}: as {found[row][0]} and as "
                f"{places[0]}; remove one, or write whole paths"
            )
        found[row] = (places[0], label)
    if not found:
        raise DataError(_nothing(table, labels, ambiguous))
    return _matched(table, labels, found, unscreened, ambiguous, repeated)


def _matched(
    table: ResultsTable,
    labels: LabelTable,
    found: Mapping[int, tuple[str, Label]],
    unscreened: Sequence[str],
    ambiguous: Sequence[str],
    repeated: Sequence[str],
) -> Matched:
    ascending = sorted(found)
    names, known = zip(*(found[row] for row in ascending), strict=True)
    counts = MatchCounts(
        rows=len(table.paths),
        labels=len(labels.files),
        labelled_rows=len(found),
        rows_without_label=named([path for number, path in enumerate(table.paths) if number not in found]),
        labels_without_row=named(unscreened),
        ambiguous=named(ambiguous),
        empty_labels=named(labels.without_label),
        repeated_labels=named(repeated),
    )
    return Matched(np.array(ascending), known, names, counts)


Ends = Mapping[str, Sequence[tuple[tuple[str, ...], int]]]  # parts of paths and row, by the last part


def _ends(table: ResultsTable) -> Ends:
    found: defaultdict[str, list[tuple[tuple[str, ...], int]]] = defaultdict(list)
    for number, path in enumerate(table.files):
        parts = _parts(path)
        found[parts[-1]].append((parts, number))
    return found


def _parts(path: str) -> tuple[str, ...]:
    """Return folders and name, without drive, root and letter case."""
    text = unicodedata.normalize("NFC", _DRIVE.sub("", path, count=1)).casefold()
    return tuple(part for part in text.split("/") if part not in ("", ".")) or ("",)


def _by_end(path: str, ends: Ends) -> set[int]:
    parts = _parts(path)
    fits = [
        (common, row)
        for others, row in ends.get(parts[-1], ())
        if parts[-(common := min(len(parts), len(others))) :] == others[-common:]
    ]
    most = max((common for common, _ in fits), default=0)
    return {row for common, row in fits if common == most}


def groups(labels: Sequence[Label], digests: Sequence[str]) -> NDArray[np.int64]:
    """Return int64 (n,), equal for images of one stated group, or else of the same bytes."""
    known: dict[tuple[str, str], int] = {}
    keys = (
        ("group", label.group) if label.group else ("bytes", digest) if digest else ("row", str(row))
        for row, (label, digest) in enumerate(zip(labels, digests, strict=True))
    )
    return np.array([known.setdefault(key, len(known)) for key in keys], np.int64)


def named(paths: Sequence[str]) -> NamedFiles:
    """Return how many `paths` there are, with the first of them."""
    return NamedFiles(len(paths), tuple(paths[:SHOWN]))


def _nothing(table: ResultsTable, labels: LabelTable, ambiguous: Sequence[str]) -> str:
    if ambiguous:
        return (
            f"every name of {labels.name} that {table.name} knows, such as {ambiguous[0]}, fits several of its rows; "
            "write the folders too, as they stand in the table"
        )
    example = labels.files[0][0][0] if labels.files else "nothing with a label"
    return (
        f"no row of {table.name} has a label in {labels.name}: the table has paths such as {table.paths[0]}, the "
        f"labels such as {example}. Write the paths as they stand in the table, or name the folder that was screened"
    )
