"""What a table of cxr-batch says, as values: read by whoever knows the table's form."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from cxr.errors import DataError
from cxr.evaluation.metrics import Labels, Probabilities

NO_ANSWER = -1
_HALF_DIGIT = 5e-7  # of six decimals
_ENDS = {"prediction": "prediction", "decision": "decision", "trained": "in_training_set", "model": "model"}


@dataclass(frozen=True, slots=True)
class NetworkAnswers:
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
class Screened:
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
    networks: tuple[NetworkAnswers, ...]


def parse_screened(name: str, table: Iterable[Mapping[str, str]]) -> Screened:
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
    return Screened(name, paths, digests, tuple(_network(name, rows, columns, prefix) for prefix in prefixes))


def _network(name: str, rows: list[Mapping[str, str]], columns: list[str], prefix: str) -> NetworkAnswers:
    start = f"{prefix}probability_"
    classes = tuple(column.removeprefix(start) for column in columns if column.startswith(start))
    numbers = {label: number for number, label in enumerate(classes)}
    cells = {key: [row.get(f"{prefix}{end}", "") for row in rows] for key, end in _ENDS.items()}
    predicted = np.full(len(rows), NO_ANSWER)
    probabilities = np.zeros((len(rows), len(classes)))
    for index, (row, word) in enumerate(zip(rows, cells["prediction"], strict=True)):
        if word:
            try:
                predicted[index] = numbers[word]
                probabilities[index] = [float(row[f"{start}{label}"]) for label in classes]
                _check(probabilities[index], numbers[word])
            except (KeyError, ValueError) as error:
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
    return NetworkAnswers(identity, classes, predicted, probabilities, tuple(cells["decision"]), trained)


def _check(probabilities: Probabilities, predicted: int) -> None:
    if not (np.isfinite(probabilities).all() and (probabilities >= 0).all()):
        raise ValueError("expected numbers from 0 to 1")
    if abs(probabilities.sum() - 1) > len(probabilities) * _HALF_DIGIT + 1e-9:
        raise ValueError(f"they sum to {probabilities.sum():.6f}")
    if probabilities[predicted] < probabilities.max():
        raise ValueError("another class has a larger one")
