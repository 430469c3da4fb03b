"""A table of `cxr-batch` as answers of networks."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cxr.core.errors import DataError
from cxr.evaluation.stats.intervals import Labels, Probabilities
from cxr.inference.decisions import decision_words

NO_ANSWER = -1
_HALF_DIGIT = 5e-7  # of six decimals
_ENDS = ("prediction", "decision", "refer_reason", "in_training_set", "model")


@dataclass(frozen=True, slots=True)
class NetworkPredictions:
    """One network's answers, in the order of the table's rows.

    Attributes:
        name: The network's identity.
        classes: In the order of the columns.
        predicted: int64 (rows,), class numbers; -1 where there is no answer.
        probabilities: float64 (rows, classes), rows sum to one; 0 where there is no answer.
        decisions: Words of the column `decision`, empty where nothing was decided.
        refer_reasons: Words of the column `refer_reason`.
        trained: Whether the network was trained on the row's file: `yes`, `no`, or empty where that is not known.
    """

    name: str
    classes: tuple[str, ...]
    predicted: Labels
    probabilities: Probabilities
    decisions: tuple[str, ...]
    refer_reasons: tuple[str, ...]
    trained: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResultsTable:
    """A table.

    Attributes:
        name: Of the file.
        paths: Cells of the column `path`, each once.
        files: The paths that these cells stand for.
        digests: Cells of the column `sha256`; empty where unknown.
        statuses: Words of the column `status`; empty where unknown.
        reasons: Words of the column `reason`.
        columns: All cells by the name of their column.
        networks: In the order of the table.
    """

    name: str
    paths: tuple[str, ...]
    files: tuple[str, ...]
    digests: tuple[str, ...]
    statuses: tuple[str, ...]
    reasons: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]
    networks: tuple[NetworkPredictions, ...]


def parse_results(name: str, table: Iterable[Mapping[str, str]], plain: Callable[[str], str] = str) -> ResultsTable:
    """Understand the rows of a table; columns that an older table has not are taken as empty.

    Args:
        name: What messages call it.
        table: Cells by column name.
        plain: Turns a cell `path` into the path that it stands for.

    Raises:
        DataError: There are no rows, no answers' columns, a path twice, an answer contradicts itself, or a decision is
            a word that cxr-batch does not write.
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
    cells = {column: tuple(row.get(column, "") for row in rows) for column in (*columns, "sha256", "status", "reason")}
    return ResultsTable(
        name=name,
        paths=paths,
        files=tuple(map(plain, paths)),
        digests=cells["sha256"],
        statuses=cells["status"],
        reasons=cells["reason"],
        columns=cells,
        networks=tuple(_network(name, rows, columns, prefix) for prefix in prefixes),
    )


def _network(name: str, rows: list[Mapping[str, str]], columns: list[str], prefix: str) -> NetworkPredictions:
    start = f"{prefix}probability_"
    classes = tuple(column.removeprefix(start) for column in columns if column.startswith(start))
    numbers = {label: number for number, label in enumerate(classes)}
    cells = {end: tuple(row.get(f"{prefix}{end}", "") for row in rows) for end in _ENDS}
    paths = [row["path"] for row in rows]
    _check_decisions(f"{prefix}decision", classes, dict(zip(paths, cells["decision"], strict=True)), name)
    _check_words(
        f"{prefix}in_training_set", ("yes", "no"), dict(zip(paths, cells["in_training_set"], strict=True)), name
    )
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
    return NetworkPredictions(
        name=next(filter(None, cells["model"]), prefix.removesuffix("_") or "network"),
        classes=classes,
        predicted=predicted,
        probabilities=probabilities,
        decisions=cells["decision"],
        refer_reasons=cells["refer_reason"],
        trained=cells["in_training_set"],
    )


def _check_decisions(column: str, classes: Sequence[str], words: Mapping[str, str], name: str) -> None:
    """Refuse decisions, by path, that are no words of one class: without them no figure of decisions is right."""
    known = [decision_words(label) for label in classes]
    _check_words(column, tuple(dict.fromkeys(word for one in zip(*known, strict=True) for word in one)), words, name)
    suspected: dict[str, str] = {}  # with the first path
    for path, word in words.items():
        if word in {one[0] for one in known}:
            suspected.setdefault(word, path)
    if len(suspected) > 1:
        named = " and ".join(f"{word} ({path})" for word, path in sorted(suspected.items()))
        raise DataError(
            f"{name} has a column {column} with {named}; expected decisions about one class, as cxr-batch wrote them"
        )


def _check_words(column: str, known: Sequence[str], words: Mapping[str, str], name: str) -> None:
    for path, word in words.items():
        if word and word not in known:
            raise DataError(
                f"{name}, {path}: {column} is {word!r}; expected {', '.join(known)} or an empty cell, as cxr-batch "
                "wrote it"
            )


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
