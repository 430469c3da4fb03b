"""A part of a report: the same for the terminal and for Markdown."""

from dataclasses import dataclass

from cxr.evaluation.external.wording import count
from cxr.files import JsonObject


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a report; without rows there is no table.

    Attributes:
        title: Of the part.
        sentences: Above the table.
        header: Names of the columns.
        rows: Cells.
    """

    title: str
    sentences: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def left_out(value: JsonObject, what: str) -> tuple[str, ...]:
    """Return a sentence that counts and names what was left out; none where nothing was."""
    return (count(value, what),) if value["number"] else ()
