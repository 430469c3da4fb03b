"""Cells that cxr-batch cannot have written, refused with their row: docs/results-csv.md is the contract.

What a spreadsheet, or somebody's hand, has changed would change figures without a word. Columns are looked at whole,
by their distinct words, so that a million rows cost little.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import DataError, Reason
from cxr.inference.decisions import NOT_SUSPECTED, REFER, DecisionRecord, ReferReason, decision_words

Columns = Mapping[str, Sequence[str]]  # all cells by the name of their column
StatusOf = Callable[[str], str]  # of a reason, empty where there is an answer

STATUSES = (OK, REJECTED, ERROR) = ("ok", "rejected", "error")
_SHA256 = re.compile("[0-9a-f]{64}", re.IGNORECASE)
_SHOWN = 5  # rows in a sentence
_OFF = 1e-6  # a cell is off by at most 5e-7; decisions were made before rounding
_ANSWER_ENDS = ("confidence", "margin", "prediction_set", "decision", "refer_reason")


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a table, as sentences name them.

    Attributes:
        table: Its name.
        paths: Cells of the column `path`.
        numbers: As a spreadsheet shows them.
    """

    table: str
    paths: Sequence[str]
    numbers: Sequence[int]

    def refused(self, place: int, found: str, expected: str) -> DataError:
        """Return the error of the row at `place`: what it has, and what was expected."""
        return DataError(
            f"{self.table}, row {self.numbers[place]}, {self.paths[place]}: {found}; expected {expected}, as cxr-batch "
            "wrote it. The same cxr-batch command writes the table again"
        )

    def named(self, places: Sequence[int]) -> str:
        """Return the numbers of some rows: `row 5`, or `rows 5, 9 and 2 more`."""
        more = len(places) - _SHOWN
        numbers = ", ".join(str(self.numbers[place]) for place in islice(places, _SHOWN))
        return f"row{'s' * (len(places) > 1)} {numbers}{f' and {more:,} more' if more > 0 else ''}"


def check_paths(rows: Rows) -> None:
    """Refuse rows that name no file, and files with several rows."""
    if empty := [place for place, path in enumerate(rows.paths) if not path]:
        raise DataError(
            f"{rows.table}, {rows.named(empty)}: path is empty; expected the name of a file in each row, as cxr-batch "
            "wrote it. Fill it in, or remove what is no row of the table"
        )
    if len(set(rows.paths)) == len(rows.paths):
        return
    first = _first(rows.paths)
    twice = next(path for place, path in enumerate(rows.paths) if first[path] != place)
    places = [place for place, path in enumerate(rows.paths) if path == twice]
    raise DataError(
        f"{rows.table} has several rows for {twice}: {rows.named(places)}; expected each file once. Remove the others, "
        "or screen all files into one table"
    )


def check_models(rows: Rows, columns: Columns, prefixes: Sequence[str]) -> None:
    """Refuse rows of two networks in the columns of one, as where two tables were pasted together."""
    if again := [place for place, word in enumerate(columns.get("prediction", ())) if word == "prediction"]:
        raise DataError(
            f"{rows.table} has its header again in {rows.named(again)}, as where tables were pasted together; expected "
            "one table of cxr-batch. Give each by itself"
        )
    for name in (f"{prefix}model" for prefix in prefixes if f"{prefix}model" in columns):
        (model, _), *others = _first(columns[name]).items()
        if others:
            other, place = others[0]
            raise DataError(
                f"{rows.table}, row {rows.numbers[place]}, {rows.paths[place]}: {name} is {other!r}, but {model!r} in "
                "the rows above; expected one network, for rows of two never stand in one table. Where two tables were "
                "pasted together, give each by itself, or both with --compare"
            )


def check_outcomes(
    rows: Rows, columns: Columns, networks: Mapping[str, Sequence[bool]], status_of: StatusOf | None
) -> None:
    """Refuse words of `status`, `reason` and `sha256` that cannot be, or do not fit whether there is an answer.

    Args:
        rows: Of the table.
        columns: Those that it has; what an older table lacks is not asked.
        networks: Whether each row has an answer, by the prefix of the network's columns.
        status_of: Which status a reason gives; None: that is not known.
    """
    for place, word in enumerate(columns.get("sha256", ())):
        if word and not _SHA256.fullmatch(word):
            found = f"sha256 is {word!r}" + (", a number, as a spreadsheet makes of digits" if _is_number(word) else "")
            raise rows.refused(place, found, "64 hexadecimal digits or an empty cell")
    if "status" not in columns:
        return
    answers = {f"{prefix}prediction": answered for prefix, answered in networks.items()}
    for (status, *answered), place in _first(columns["status"], *answers.values()).items():
        if status not in STATUSES:
            raise rows.refused(place, f"status is {status!r}", _one_of(STATUSES))
        _check_answers(rows, place, status, dict(zip(answers, answered, strict=True)), columns)
    for (status, reason), place in _first(columns["status"], columns.get("reason", ())).items():
        _check_reason(rows, place, status, reason, status_of)


def _check_answers(rows: Rows, place: int, status: str, answered: Mapping[str, bool], columns: Columns) -> None:
    """Refuse `ok` without all answers, an error with all of them, and a rejected file with any."""
    if status == OK and not all(answered.values()):
        lacking = next(name for name, one in answered.items() if not one)
        raise rows.refused(place, f"status is 'ok', but {lacking} is empty", "an answer of every network")
    if status != OK and (all(answered.values()) or (status == REJECTED and any(answered.values()))):
        has = next(name for name, one in answered.items() if one)
        raise rows.refused(place, f"status is {status!r}, but {has} is {columns[has][place]!r}", "no answer")


def _check_reason(rows: Rows, place: int, status: str, reason: str, status_of: StatusOf | None) -> None:
    """Refuse a reason that does not fit the status; one of a later version is as good as any other."""
    found = (
        f"status is {status!r}, but reason is {reason!r}" if reason else f"status is {status!r}, but reason is empty"
    )
    if status == OK and reason:
        raise rows.refused(place, found, "an empty cell")
    if status != OK and not reason:
        raise rows.refused(place, found, "the reason why there is no answer")
    if reason in set(Reason) and status_of is not None and (fitting := str(status_of(reason))) != status:
        raise rows.refused(place, found, f"the status {fitting!r}")


def check_decisions(rows: Rows, columns: Columns, prefix: str, classes: Sequence[str]) -> None:
    """Refuse words of a network's decisions that are none, or that contradict each other or the lack of an answer."""
    _check_words(rows, columns, f"{prefix}in_training_set", ("yes", "no"))
    words = [decision_words(label) for label in classes]
    decision, reason = f"{prefix}decision", f"{prefix}refer_reason"
    _check_words(
        rows, columns, decision, tuple(dict.fromkeys(word for one in zip(*words, strict=True) for word in one))
    )
    _check_words(rows, columns, reason, tuple(ReferReason))
    _check_one_class(rows, columns, decision, {one[0] for one in words})
    if decision in columns and reason in columns:
        for (word, why), place in _first(columns[decision], columns[reason]).items():
            if word == REFER and not why:
                raise rows.refused(place, f"{decision} is 'refer', but {reason} is empty", _one_of(tuple(ReferReason)))
            if word != REFER and why:
                raise rows.refused(place, f"{reason} is {why!r}, but {decision} is {word!r}", "an empty cell")
    _check_where_answered(rows, columns, prefix, classes)


def _check_words(rows: Rows, columns: Columns, name: str, known: Sequence[str]) -> None:
    for word, place in _first(columns.get(name, ())).items():
        if word and word not in known:
            raise rows.refused(place, f"{name} is {word!r}", f"{', '.join(known)} or an empty cell")


def _check_one_class(rows: Rows, columns: Columns, name: str, suspected: set[str]) -> None:
    """Refuse decisions about two classes: without one target no figure of decisions is right."""
    found = {word: place for word, place in _first(columns.get(name, ())).items() if word in suspected}
    if len(found) > 1:
        named = " and ".join(f"{word} ({rows.paths[place]})" for word, place in sorted(found.items()))
        raise DataError(
            f"{rows.table} has a column {name} with {named}; expected decisions about one class, as cxr-batch wrote "
            "them"
        )


def _check_where_answered(rows: Rows, columns: Columns, prefix: str, classes: Sequence[str]) -> None:
    """Refuse cells of an answer in a row that has none, and rows with and without decisions in one table."""
    predictions = columns[f"{prefix}prediction"]
    without = [place for place, word in enumerate(predictions) if not word]
    names = [f"{prefix}{end}" for end in (*(f"probability_{label}" for label in classes), *_ANSWER_ENDS)]
    for name in filter(columns.__contains__, names):
        for place in without:
            if cell := columns[name][place]:
                raise rows.refused(place, f"{name} is {cell!r}, but {prefix}prediction is empty", "an empty cell")
    decisions = columns.get(f"{prefix}decision", ())
    if any(decisions):
        for place, (prediction, decision) in enumerate(zip(predictions, decisions, strict=True)):
            if prediction and not decision:
                found = (
                    f"{prefix}decision is empty, but other rows have decisions and {prefix}prediction is {prediction!r}"
                )
                raise rows.refused(place, found, "a decision of every answer")


Numbers = NDArray[Any]


def check_applied(
    rows: Rows, columns: Columns, prefix: str, probabilities: Mapping[str, Numbers], applied: DecisionRecord
) -> None:
    """Refuse decisions that the row's own probabilities do not give.

    Args:
        rows: Of the table.
        columns: Those that it has.
        prefix: Of the network's columns.
        probabilities: float64 (rows,) by class; anything where there is no answer.
        applied: What decided, as the manifest keeps it.
    """
    if not {f"{prefix}decision", f"{prefix}refer_reason"} <= set(columns) or set(probabilities) != set(applied.minimum):
        return
    cells = {end: columns[f"{prefix}{end}"] for end in ("prediction", "decision", "refer_reason")}
    for place, found, expected in _not_applied(cells, prefix, probabilities, applied):
        raise rows.refused(
            place,
            f"{found}, by the {applied.operating_point} of the table's manifest",
            f"{expected} (where that manifest is of another table, move it away)",
        )


def _not_applied(
    cells: Columns, prefix: str, probabilities: Mapping[str, Numbers], applied: DecisionRecord
) -> Iterator[tuple[int, str, str]]:
    """Give place, what was found and what was expected, of the first row of each kind that cannot be."""
    word, limit, target = decision_words(applied.target)[0], applied.threshold, probabilities[applied.target]
    suspected, cleared = _is(cells["decision"], word), _is(cells["decision"], NOT_SUSPECTED)
    predicted, below, above = _is(cells["prediction"], applied.target), target < limit - _OFF, target > limit + _OFF
    surely, perhaps = (
        sum((probabilities[name] >= least + off).astype(int) for name, least in applied.minimum.items())
        for off in (_OFF, -_OFF)
    )
    several, none, contradicting = (
        _is(cells["refer_reason"], reason)
        for reason in (ReferReason.SEVERAL_CLASSES, ReferReason.EMPTY_SET, ReferReason.CONTRADICTION)
    )
    of_target, agreeing = f"{prefix}probability_{applied.target}", (~predicted & below) | (predicted & above)
    for name, wrong, why, expected in (
        ("decision", suspected & below, f"{of_target} is below its limit {limit:.6f}", f"{NOT_SUSPECTED} or {REFER}"),
        ("decision", cleared & above, f"{of_target} is above its limit {limit:.6f}", f"{word} or {REFER}"),
        ("decision", (suspected & ~predicted) | (cleared & predicted), "the prediction says otherwise", REFER),
        ("decision", (suspected | cleared) & ((surely > 1) | (perhaps < 1)), "not one class alone is possible", REFER),
        ("refer_reason", several & (perhaps < 2), "not more than one class is possible", "another reason"),
        ("refer_reason", none & (surely > 0), "a class is possible", "another reason"),
        ("refer_reason", contradicting & agreeing, "prediction and decision agree", "another reason"),
    ):
        if wrong.any():
            place = int(wrong.argmax())
            yield place, f"{prefix}{name} is {cells[name][place]!r}, but {why}", expected


def _is(cells: Sequence[str], word: str) -> NDArray[np.bool_]:
    return np.fromiter((cell == word for cell in cells), np.bool_, len(cells))


def _first(*columns: Sequence[Any]) -> dict[Any, int]:
    """Return the place of the first row of each distinct cell, or of each combination of cells, in that order."""
    if not all(map(len, columns)):
        return {}
    keys: Sequence[Any] = columns[0] if len(columns) == 1 else [*zip(*columns, strict=True)]
    last = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))  # what is said last of a key stays
    return dict(sorted(last.items(), key=lambda one: one[1]))


def _one_of(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True
