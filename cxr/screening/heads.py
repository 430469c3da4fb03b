"""The columns that each network adds to the table, and the text of their cells."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from cxr.screening.rows import Answer

if TYPE_CHECKING:
    from cxr.screening.applied import Applied

EMPTY_SET = "empty"  # a cell without any word would mean that nothing was decided
DECISION_COLUMNS = ("prediction_set", "decision", "refer_reason", "in_training_set")


class Kind(StrEnum):
    """What the cells of a column hold; any of them may be empty."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Column:
    """A name and what its cells hold."""

    name: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True)
class Head:
    """What the table says of a network.

    Attributes:
        prefix: Of its columns.
        identity: Its name and digits.
        classes: In order.
        applied: What decides; None where nothing does.
    """

    prefix: str
    identity: str
    classes: tuple[str, ...]
    applied: "Applied | None" = None


def answer_columns(head: Head) -> tuple[Column, ...]:
    """Return the columns of a network's answer."""
    names = [f"probability_{name}" for name in head.classes]
    numbers = (Column(f"{head.prefix}{name}", Kind.NUMBER) for name in (*names, "confidence", "margin"))
    words = (Column(f"{head.prefix}{name}") for name in DECISION_COLUMNS)
    return (Column(f"{head.prefix}prediction"), *numbers, *words)


def answer_cells(head: Head, answer: Answer | None) -> tuple[str, ...]:
    """Return the cells of an answer, in the order of its columns; empty ones where there is none."""
    if answer is None:
        return ("",) * len(answer_columns(head))
    numbers = (*answer.probabilities, answer.confidence, answer.margin)
    return (answer.prediction, *(f"{value:.6f}" for value in numbers), *_decision_cells(answer))


def _decision_cells(answer: Answer) -> tuple[str, str, str, str]:
    trained = "" if answer.in_training_set is None else "yes" if answer.in_training_set else "no"
    decision = answer.decision
    if decision is None:
        return "", "", "", trained
    return " ".join(decision.classes) or EMPTY_SET, decision.word, decision.reason or "", trained
