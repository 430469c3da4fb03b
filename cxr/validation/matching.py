"""Which row of a table belongs to which label: by path, by the end of a path, or by a bare name where it is unique."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import DataError
from cxr.dataset.release import is_image
from cxr.dataset.spelling import composed
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
        without_ending: Names that fit a row but for the ending, such as .png.
    """

    rows: int
    labels: int
    labelled_rows: int
    rows_without_label: NamedFiles
    labels_without_row: NamedFiles
    ambiguous: NamedFiles
    empty_labels: NamedFiles
    repeated_labels: NamedFiles
    without_ending: NamedFiles


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
    such rows the one with the most folders in common is meant; where that does not tell, none is. What is left is
    looked for once more without the endings of pictures, among the rows that are left: lists have `a` or `a.dcm` for
    `a.png`.

    Raises:
        DataError: Nothing matches, or one file has several rows or several labels.
    """
    row_of = {path: number for number, path in enumerate(table.files)}
    ends, found = _ends(table, _parts), _Found(table, labels)
    for places, label in labels.files:
        rows = {row_of[place] for place in places if place in row_of}
        if len(rows) > 1:
            raise DataError(f"{table.name} has several rows for {places[0]} of {labels.name}; screen each file once")
        found.take(places, label, rows or _by_end(_parts(places[-1]), ends))
    left, found.unscreened = found.unscreened, []
    taken, bare_ends = set(found.rows), _ends(table, _bare_parts)
    for places, label in left:
        rows = _by_end(_bare_parts(places[-1]), bare_ends) - taken
        found.take(places, label, rows)
        found.without_ending += [places[0]] if len(rows) == 1 else []
    if not found.rows:
        raise DataError(_nothing(table, labels, found.ambiguous))
    return found.matched()


@dataclass(slots=True)
class _Found:
    """What was found so far."""

    table: ResultsTable
    labels: LabelTable
    rows: dict[int, tuple[str, Label]] = field(default_factory=dict)
    unscreened: list[tuple[tuple[str, ...], Label]] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    without_ending: list[str] = field(default_factory=list)

    def take(self, places: tuple[str, ...], label: Label, rows: Set[int]) -> None:
        """Note which rows a label fits."""
        if not rows:
            self.unscreened.append((places, label))
        elif len(rows) > 1:
            self.ambiguous.append(places[0])
        else:
            (row,) = rows
            _, before = self.rows.setdefault(row, (places[0], label))
            if before is not label:
                self._again(row, places[0], label)

    def _again(self, row: int, name: str, label: Label) -> None:
        before, said = self.rows[row]
        if not said.says_the_same_as(label):
            raise DataError(
                f"{self.labels.name} has two labels for {self.table.paths[row]} of {self.table.name}: as {before} and "
                f"as {name}; remove one, or write whole paths"
            )
        self.repeated.append(name)

    def matched(self) -> Matched:
        """Return all of it, at least one row."""
        ascending = sorted(self.rows)
        names, known = zip(*(self.rows[row] for row in ascending), strict=True)
        counts = MatchCounts(
            rows=len(self.table.paths),
            labels=len(self.labels.files),
            labelled_rows=len(self.rows),
            rows_without_label=named([path for number, path in enumerate(self.table.paths) if number not in self.rows]),
            labels_without_row=named([places[0] for places, _ in self.unscreened]),
            ambiguous=named(self.ambiguous),
            empty_labels=named(self.labels.without_label),
            repeated_labels=named([*self.labels.repeated, *self.repeated]),
            without_ending=named(self.without_ending),
        )
        return Matched(np.array(ascending), known, names, counts)


Parts = tuple[str, ...]  # folders and name of a path
Ends = Mapping[str, Sequence[tuple[Parts, int]]]  # with the row, by the last part


def _ends(table: ResultsTable, parts_of: Callable[[str], Parts]) -> Ends:
    found: defaultdict[str, list[tuple[Parts, int]]] = defaultdict(list)
    for number, path in enumerate(table.files):
        parts = parts_of(path)
        found[parts[-1]].append((parts, number))
    return found


def _bare_parts(path: str) -> Parts:
    """Return the same without the ending of a picture."""
    *folders, name = _parts(path)
    return (*folders, name.removesuffix(Path(name).suffix) if is_image(Path(name)) else name)


def _parts(path: str) -> Parts:
    """Return folders and name, without drive, root and letter case."""
    text = unicodedata.normalize("NFC", _DRIVE.sub("", path, count=1)).casefold()
    return tuple(part for part in text.split("/") if part not in ("", ".")) or ("",)


def _by_end(parts: Parts, ends: Ends) -> set[int]:
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
        ("group", composed(label.group)) if label.group else ("bytes", digest) if digest else ("row", str(row))
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
    return (
        f"no row of {table.name} has a label in {labels.name}: the table has paths such as {table.paths[0]}, the "
        f"labels such as {labels.files[0][0][0]}. Write the paths as they stand in the table, or name the folder that "
        "was screened"
    )
