"""Put rows and labels together, and count whatever does not match: nothing is dropped in silence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.errors import DataError
from cxr.evaluation.external.labels import Label, Labels
from cxr.evaluation.external.screened import Screened
from cxr.files import JsonObject

SHOWN = 20  # names of each kind in a report


@dataclass(frozen=True, slots=True)
class Matched:
    """Rows with a label.

    Attributes:
        rows: int64 (n,), numbers of the table's rows, ascending.
        labels: Of those rows, in this order.
        names: What the labels call those files.
        unlabelled: Paths of rows without a label.
        unscreened: Paths of labels without a row.
    """

    rows: NDArray[np.int64]
    labels: tuple[Label, ...]
    names: tuple[str, ...]
    unlabelled: tuple[str, ...]
    unscreened: tuple[str, ...]

    def counts(self) -> JsonObject:
        """Return how many matched, and the first names of what did not."""
        return {
            "labelled_rows": len(self.rows),
            "rows_without_label": named(self.unlabelled),
            "labels_without_row": named(self.unscreened),
        }


def match(table: Screened, labels: Labels) -> Matched:
    """Match by path.

    Raises:
        DataError: Nothing matches, two rows are one file, or a label is no class of a network.
    """
    row_of = {path: number for number, path in enumerate(table.paths)}
    found: dict[int, tuple[str, Label]] = {}
    unscreened = []
    for places, label in labels.files:
        rows = {row_of[place] for place in places if place in row_of}
        if not rows:
            unscreened.append(places[0])
        for row in rows:
            if row in found or len(rows) > 1:
                raise DataError(
                    f"{table.name} has several rows for {places[0]} of {labels.name}; screen each file once"
                )
            found[row] = (places[0], label)
    if not found:
        raise DataError(_nothing(table, labels))
    _check_classes(table, labels)
    ascending = sorted(found)
    unlabelled = tuple(path for number, path in enumerate(table.paths) if number not in found)
    names, known = zip(*(found[row] for row in ascending), strict=True)
    return Matched(np.array(ascending), known, names, unlabelled, tuple(unscreened))


def groups(labels: Sequence[Label], digests: Sequence[str]) -> NDArray[np.int64]:
    """Return int64 (n,), equal for images of one stated group, or else of the same bytes."""
    known: dict[tuple[str, str], int] = {}
    keys = (
        ("group", label.group) if label.group else ("bytes", digest) if digest else ("row", str(row))
        for row, (label, digest) in enumerate(zip(labels, digests, strict=True))
    )
    return np.array([known.setdefault(key, len(known)) for key in keys], np.int64)


def named(paths: Sequence[str]) -> JsonObject:
    """Return a number with the first names."""
    return {"number": len(paths), "first": list(paths[:SHOWN])}


def _check_classes(table: Screened, labels: Labels) -> None:
    stated = {label.label for _, label in labels.files}
    for network in table.networks:
        unknown = sorted(stated - set(network.classes))
        if unknown:
            raise DataError(
                f"{labels.name} has the labels {', '.join(unknown)}, which {network.name} does not know; expected "
                f"{', '.join(network.classes)}. Leave out files of other classes, or rename the labels"
            )


def _nothing(table: Screened, labels: Labels) -> str:
    example = labels.files[0][0][0] if labels.files else "nothing"
    return (
        f"no row of {table.name} has a label in {labels.name}: the table has paths such as {table.paths[0]}, the "
        f"labels such as {example}. Write the paths as they stand in the table, or name the folder that was screened"
    )
