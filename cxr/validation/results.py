"""A table of `cxr-batch` as answers of networks."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import DataError
from cxr.evaluation.stats.intervals import Labels, Probabilities
from cxr.inference.decisions import DecisionRecord
from cxr.validation.contract import (
    Columns,
    Rows,
    StatusOf,
    check_applied,
    check_decisions,
    check_models,
    check_outcomes,
    check_paths,
)

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


def parse_results(
    name: str,
    table: Iterable[Mapping[str, str]],
    plain: Callable[[str], str] = str,
    *,
    numbers: Sequence[int] | None = None,
    status_of: StatusOf | None = None,
    applied: Mapping[str, DecisionRecord] = MappingProxyType({}),
) -> ResultsTable:
    """Understand the rows of a table; columns that an older table has not are taken as empty.

    Args:
        name: What messages call it.
        table: Cells by column name.
        plain: Turns a cell `path` into the path that it stands for.
        numbers: Of the rows as a spreadsheet shows them; None: below a header in the first row.
        status_of: Which status a reason gives; None: that is not asked.
        applied: What decided, by the identity of the network, as far as it is known; rows are checked against it.

    Raises:
        DataError: There are no rows, no answers' columns, a path twice, rows of two networks, rounded probabilities, or
            a cell that cxr-batch cannot have written.
    """
    rows = list(table)
    columns = list(rows[0]) if rows else []
    prefixes = [column.removesuffix("prediction") for column in columns if column.endswith("prediction")]
    if not prefixes or "path" not in columns:
        raise DataError(f"{name} has no rows with the columns path and prediction; expected a table of cxr-batch")
    cells = {column: tuple(row.get(column, "") for row in rows) for column in (*columns, *_ALWAYS)}
    known = {column: cells[column] for column in columns}
    named = Rows(name, cells["path"], numbers or range(2, len(rows) + 2))
    check_models(named, known, prefixes)
    check_paths(named)
    networks = {prefix: _network(named, known, prefix, applied) for prefix in prefixes}
    answered = {prefix: (one.predicted != NO_ANSWER).tolist() for prefix, one in networks.items()}
    check_outcomes(named, known, answered, status_of)
    return ResultsTable(
        name=name,
        paths=cells["path"],
        files=tuple(map(plain, cells["path"])),
        digests=cells["sha256"],
        statuses=cells["status"],
        reasons=cells["reason"],
        columns=cells,
        networks=tuple(networks.values()),
    )


_ALWAYS = ("sha256", "status", "reason")  # empty in older tables


def _network(rows: Rows, columns: Columns, prefix: str, applied: Mapping[str, DecisionRecord]) -> NetworkPredictions:
    start, nothing = f"{prefix}probability_", ("",) * len(rows.paths)
    classes = tuple(column.removeprefix(start) for column in columns if column.startswith(start))
    cells = {end: tuple(columns.get(f"{prefix}{end}", nothing)) for end in _ENDS}
    check_decisions(rows, columns, prefix, classes)
    predicted = _predicted(rows, cells["prediction"], prefix, classes)
    answered = np.flatnonzero(predicted != NO_ANSWER)
    probabilities = np.zeros((len(rows.paths), len(classes)))
    for number, label in enumerate(classes):
        probabilities[answered, number] = _numbers(rows, columns[f"{start}{label}"], answered, f"{start}{label}")
    texts = [columns[f"{start}{label}"] for label in classes]
    _check_probabilities(rows, cells["prediction"], prefix, texts, probabilities, predicted)
    name = next(filter(None, cells["model"]), prefix.removesuffix("_") or "network")
    if name in applied:
        check_applied(rows, columns, prefix, dict(zip(classes, probabilities.T, strict=True)), applied[name])
    # Of probabilities that six decimals make equal, the predicted one was the larger: here it is again, by a hair.
    probabilities[answered, predicted[answered]] += _HALF_DIGIT / 1000
    probabilities[answered] /= probabilities[answered].sum(axis=1, keepdims=True)
    return NetworkPredictions(
        name=name,
        classes=classes,
        predicted=predicted,
        probabilities=probabilities,
        decisions=cells["decision"],
        refer_reasons=cells["refer_reason"],
        trained=cells["in_training_set"],
    )


def _predicted(rows: Rows, words: Sequence[str], prefix: str, classes: Sequence[str]) -> Labels:
    """Return the numbers of the classes of a column `prediction`, int64 (rows,)."""
    numbers = {"": NO_ANSWER, **{label: number for number, label in enumerate(classes)}}
    if unknown := set(words) - set(numbers):
        place = next(place for place, word in enumerate(words) if word in unknown)
        raise _not_given(rows, place, words, prefix, f"there is no column {prefix}probability_{words[place]}")
    return np.array([numbers[word] for word in words])


def _not_given(rows: Rows, place: int, words: Sequence[str], prefix: str, why: str) -> DataError:
    found = f"{prefix}prediction is {words[place]!r}, but its probabilities do not give it ({why})"
    return rows.refused(place, found, "probabilities that sum to 1, the largest of them that of the prediction")


def _numbers(rows: Rows, cells: Sequence[str], places: NDArray[np.intp], name: str) -> list[float]:
    """Return the numbers in some rows of a column, as spreadsheets write them; whole columns are refused if rounded."""
    chosen = [cells[place] for place in places]
    if decimals := _rounded_to(chosen):
        raise _rounded(rows.table, f"its column {name} has {decimals} decimals at most in {len(chosen):,} answers")
    numbers = []
    for place, cell in zip(places, chosen, strict=True):
        try:
            numbers.append(float(cell.replace(",", ".")))  # the comma is the point in half of the world
        except ValueError as error:
            raise rows.refused(place, f"{name} is {cell!r}, which is no number", "a number from 0 to 1") from error
    return numbers


_DECIMALS = 6  # of a number as cxr-batch writes it
_CERTAIN = 6  # numbers of fewer decimals: that all have lost a zero at their end by chance is one in a million


def _rounded_to(cells: Iterable[str]) -> int:
    """Return to how many decimals the numbers of a column were rounded; 0 where they were not, or too few tell."""
    most = found = 0
    for cell in cells:
        decimals = _decimals(cell)
        if decimals >= _DECIMALS:
            return 0
        found += decimals > 0  # 0 and 1 are so in any table
        most = max(most, decimals)
    return most if found >= _CERTAIN else 0


def _decimals(cell: str) -> int:
    """Return how many decimals a number has; 0 of what is none."""
    try:
        exponent = Decimal(cell.replace(",", ".")).as_tuple().exponent
    except InvalidOperation:
        return 0
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _rounded(table: str, found: str) -> DataError:
    return DataError(
        f"{table} has rounded probabilities: {found}; expected {_DECIMALS}, for rounded ones give wrong figures. A "
        "spreadsheet that shows fewer decimals saves as CSV what it shows. Show them all there and save again, or run "
        "the same cxr-batch command again, which writes the table anew"
    )


def _check_probabilities(
    rows: Rows,
    words: Sequence[str],
    prefix: str,
    cells: Sequence[Sequence[str]],
    probabilities: Probabilities,
    predicted: Labels,
) -> None:
    """Refuse an answer that is no distribution, or not the most probable class."""
    answered = predicted != NO_ANSWER
    if not answered.any():
        return
    sums, possible = (
        probabilities.sum(axis=1),
        np.asarray(np.isfinite(probabilities) & (probabilities >= 0)).min(axis=1),
    )
    off = np.abs(sums - 1) > probabilities.shape[1] * _HALF_DIGIT + 1e-9
    own = probabilities[np.arange(len(predicted)), predicted]
    wrong = answered & (~possible | off | (own < probabilities.max(axis=1)))
    if not wrong.any():
        return
    place = int(wrong.argmax())
    if not possible[place]:
        raise _not_given(rows, place, words, prefix, "expected numbers from 0 to 1")
    if not off[place]:
        raise _not_given(rows, place, words, prefix, "another class has a larger one")
    most = max(_decimals(column[place]) for column in cells)
    if most < _DECIMALS and abs(sums[place] - 1) <= len(cells) * 0.5 * 10.0**-most + 1e-9:
        raise _rounded(rows.table, f"those of {rows.paths[place]} have {most} decimals and sum to {sums[place]:g}")
    raise _not_given(rows, place, words, prefix, f"they sum to {sums[place]:.6f}")
