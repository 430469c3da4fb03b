"""Labels of external images, the table of results, and how their files match."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import DataError
from cxr.core.text_files import bare, read_csv
from cxr.dataset.release import read_release
from cxr.evaluation.stats.intervals import Labels, Probabilities

COLUMNS = ("path", "label")
OPTIONAL = ("group", "source")


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of a file.

    Attributes:
        label: Its class.
        group: Equal for images of one patient; empty where unknown.
        source: Where it comes from; empty where unknown.
    """

    label: str
    group: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class LabelTable:
    """Labels of files.

    Attributes:
        name: Of the file or folder that they come from.
        files: For each file the paths that it may have in a table, the first one its name in messages, and its label.
    """

    name: str
    files: tuple[tuple[tuple[str, ...], Label], ...]


def read_labels(path: Path, cell: Callable[[str], str]) -> LabelTable:
    """Read labels from a CSV file, or from a folder whose first-level folders are classes.

    Args:
        path: The file, with the columns path, label and, if known, group and source, or the folder.
        cell: Turns a path into the form that it has in a table.

    Raises:
        DataError: It is neither, or a path has two labels.
    """
    if path.is_dir():
        return LabelTable(path.name, tuple(_folder(path, cell)))
    return LabelTable(path.name, tuple(_table(path)))


def _folder(root: Path, cell: Callable[[str], str]) -> Iterator[tuple[tuple[str, ...], Label]]:
    images = read_release(root).images
    if not any(images.values()):
        raise DataError(f"{root} has no images in class folders; expected a folder for each class, such as covid/")
    for label, files in images.items():
        for relative in files:
            places = (relative, root / relative, (root / relative).absolute(), (root / relative).resolve())
            yield tuple(dict.fromkeys(cell(place.as_posix()) for place in places)), Label(label)


def _table(path: Path) -> Iterator[tuple[tuple[str, ...], Label]]:
    seen: set[str] = set()
    table = read_csv(path, COLUMNS, OPTIONAL)
    for number, cells in table.rows:
        row = {column: bare(cell) for column, cell in zip(table.header, cells, strict=True)}
        name = cells[table.header.index("path")]  # blanks around a name may be a part of it
        if not row["path"] or not row["label"]:
            raise DataError(f"{path}, row {number}, has no path or no label; leave out files without a label")
        places = tuple(dict.fromkeys((name, row["path"], _slashed(row["path"]))))
        if places[-1] in seen:
            raise DataError(f"{path}, row {number}, names {name} twice; give each file one label")
        seen.add(places[-1])
        yield places, Label(row["label"], row.get("group", ""), row.get("source", ""))
    if not seen:
        raise DataError(f"{path} has no rows below its header; expected a file and its label in each")


def _slashed(path: str) -> str:
    """Return a path of Windows as a table has it."""
    return PurePosixPath(path.replace("\\", "/")).as_posix()


NO_ANSWER = -1
_HALF_DIGIT = 5e-7  # of six decimals
_ENDS = {"prediction": "prediction", "decision": "decision", "trained": "in_training_set", "model": "model"}


@dataclass(frozen=True, slots=True)
class NetworkPredictions:
    """One network's answers, in the order of the table's rows.

    Attributes:
        name: The network's identity.
        classes: In the order of the columns.
        predicted: int64 (rows,), class numbers; -1 where there is no answer.
        probabilities: float64 (rows, classes), rows sum to one; 0 where there is no answer.
        decisions: Words of the column `decision`, empty where nothing was decided.
        trained: Rows that the network was trained on, as the table says.
    """

    name: str
    classes: tuple[str, ...]
    predicted: Labels
    probabilities: Probabilities
    decisions: tuple[str, ...]
    trained: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class ResultsTable:
    """A table.

    Attributes:
        name: Of the file.
        paths: Cells of the column `path`, each once.
        digests: Cells of the column `sha256`; empty where unknown.
        networks: In the order of the table.
    """

    name: str
    paths: tuple[str, ...]
    digests: tuple[str, ...]
    networks: tuple[NetworkPredictions, ...]


def parse_results(name: str, table: Iterable[Mapping[str, str]]) -> ResultsTable:
    """Understand the rows of a table; columns that an older table has not are taken as empty.

    Args:
        name: What messages call it.
        table: Cells by column name.

    Raises:
        DataError: There are no rows, no answers' columns, a path twice, or an answer contradicts itself.
    """
    rows = list(table)
    columns = list(rows[0]) if rows else []
    prefixes = [column.removesuffix("prediction") for column in columns if column.endswith("prediction")]
    if not prefixes or "path" not in columns:
        raise DataError(f"{name} has no rows with the columns path and prediction; expected a table of cxr-batch")
    paths = tuple(row["path"] for row in rows)
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise DataError(f"{name} has several rows for {twice}; expected each file once")
    digests = tuple(row.get("sha256", "") for row in rows)
    return ResultsTable(name, paths, digests, tuple(_network(name, rows, columns, prefix) for prefix in prefixes))


def _network(name: str, rows: list[Mapping[str, str]], columns: list[str], prefix: str) -> NetworkPredictions:
    start = f"{prefix}probability_"
    classes = tuple(column.removeprefix(start) for column in columns if column.startswith(start))
    numbers = {label: number for number, label in enumerate(classes)}
    cells = {key: [row.get(f"{prefix}{end}", "") for row in rows] for key, end in _ENDS.items()}
    predicted = np.full(len(rows), NO_ANSWER)
    probabilities = np.zeros((len(rows), len(classes)))
    for index, (row, word) in enumerate(zip(rows, cells["prediction"], strict=True)):
        if word:
            try:
                if word not in numbers:
                    raise ValueError(f"there is no column {start}{word}")
                predicted[index] = numbers[word]
                probabilities[index] = [_number(row[f"{start}{label}"]) for label in classes]
                _check(probabilities[index], numbers[word])
            except ValueError as error:
                raise DataError(
                    f"{name}, {row['path']}: {prefix}prediction is {word!r}, but its probabilities do not give it "
                    f"({error}); expected a table as cxr-batch wrote it"
                ) from error
    answered = predicted != NO_ANSWER
    # Of probabilities that six decimals make equal, the predicted one was the larger: here it is again, by a hair.
    probabilities[answered, predicted[answered]] += _HALF_DIGIT / 1000
    probabilities[answered] /= probabilities[answered].sum(axis=1, keepdims=True)
    identity = next(filter(None, cells["model"]), prefix.removesuffix("_") or "network")
    trained = tuple(word == "yes" for word in cells["trained"])
    return NetworkPredictions(identity, classes, predicted, probabilities, tuple(cells["decision"]), trained)


def _number(cell: str) -> float:
    """Return a number as spreadsheets write it: with a comma for the point in half of the world."""
    try:
        return float(cell.replace(",", "."))
    except ValueError as error:
        raise ValueError(f"{cell!r} is no number") from error


def _check(probabilities: Probabilities, predicted: int) -> None:
    if not (np.isfinite(probabilities).all() and (probabilities >= 0).all()):
        raise ValueError("expected numbers from 0 to 1")
    if abs(probabilities.sum() - 1) > len(probabilities) * _HALF_DIGIT + 1e-9:
        raise ValueError(f"they sum to {probabilities.sum():.6f}")
    if probabilities[predicted] < probabilities.max():
        raise ValueError("another class has a larger one")


SHOWN = 20  # names of each kind in a report


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
    """

    rows: int
    labels: int
    labelled_rows: int
    rows_without_label: NamedFiles
    labels_without_row: NamedFiles


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

    @property
    def counts(self) -> MatchCounts:
        """How many matched, and the first names of what did not."""
        return MatchCounts(
            rows=len(self.rows) + len(self.unlabelled),
            labels=len(self.rows) + len(self.unscreened),
            labelled_rows=len(self.rows),
            rows_without_label=named(self.unlabelled),
            labels_without_row=named(self.unscreened),
        )


def match(table: ResultsTable, labels: LabelTable) -> Matched:
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


def named(paths: Sequence[str]) -> NamedFiles:
    """Return how many `paths` there are, with the first of them."""
    return NamedFiles(len(paths), tuple(paths[:SHOWN]))


def _check_classes(table: ResultsTable, labels: LabelTable) -> None:
    stated = {label.label for _, label in labels.files}
    for network in table.networks:
        unknown = sorted(stated - set(network.classes))
        if unknown:
            raise DataError(
                f"{labels.name} has the labels {', '.join(unknown)}, which {network.name} does not know; expected "
                f"{', '.join(network.classes)}. Leave out files of other classes, or rename the labels"
            )


def _nothing(table: ResultsTable, labels: LabelTable) -> str:
    example = labels.files[0][0][0] if labels.files else "nothing"
    return (
        f"no row of {table.name} has a label in {labels.name}: the table has paths such as {table.paths[0]}, the "
        f"labels such as {example}. Write the paths as they stand in the table, or name the folder that was screened"
    )
