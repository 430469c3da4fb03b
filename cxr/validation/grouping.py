"""Groups of files by a column: its values, or between numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxr.core.errors import DataError, UsageError
from cxr.core.tabular_files import bare
from cxr.dataset.spelling import composed, folded

NOT_STATED = "not stated"
MOST = 30  # groups of one column


@dataclass(frozen=True, slots=True)
class GroupBy:
    """A column to group by.

    Attributes:
        column: Its name.
        edges: Between groups of numbers, ascending; none: each value is a group.
    """

    column: str
    edges: tuple[float, ...] = ()

    def named(self, cells: Sequence[str], where: str) -> dict[str, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]:
        """Return the groups in order, each with the cells that belong to it, bool (n,); letter case does not count.

        Args:
            cells: Of the column.
            where: What sentences call the table.

        Raises:
            DataError: There are too many values, or a cell is no number where edges are given.
        """
        spelt: dict[str, str] = {}  # as the first cell of a group has it
        keys = [self._key(spelt.setdefault(folded(bare(cell)), composed(bare(cell))), where) for cell in cells]
        found = sorted(set(keys))
        if len(found) > MOST:
            raise DataError(
                f"the column '{self.column}' of {where} has {len(found)} values, too many to be groups (at most "
                f"{MOST}); group numbers by their limits, as in --by {self.column}=18,65, or add a column of groups"
            )
        return {name: np.array([key == (order, name) for key in keys]) for order, name in found}

    def _key(self, cell: str, where: str) -> tuple[int, str]:
        """Return the place of a cell's group among the others, and its name."""
        if folded(cell) in ("", NOT_STATED):
            return len(self.edges) + 1, NOT_STATED
        if not self.edges:
            return 0, cell
        try:
            place = int(np.searchsorted(self.edges, _number(cell.replace(",", ".")), side="right"))
        except ValueError as error:
            raise DataError(
                f"the column '{self.column}' of {where} has the cell '{cell}', which is no number; correct it, or "
                f"leave it empty, or group by the values as they are: --by {self.column}"
            ) from error
        texts = [f"{edge:g}" for edge in self.edges]
        if place == 0:
            return 0, f"below {texts[0]}"
        return place, f"{texts[-1]} and above" if place == len(texts) else f"{texts[place - 1]} to below {texts[place]}"


def parse_by(text: str) -> GroupBy:
    """Read `site`, or `age=18,65`.

    Raises:
        UsageError: There is no column, or a limit is no number or not larger than the one before.
    """
    column, sign, limits = text.rpartition("=")
    try:
        edges = tuple(map(_number, limits.split(","))) if sign else ()
    except ValueError:
        column, edges = text, ()  # a column with a sign of equality in its name
    column = bare(column if edges else text)
    if not column or list(edges) != sorted(set(edges)):
        raise UsageError(f"--by {text}: expected a column, such as site, or a column and limits, such as age=18,65")
    return GroupBy(column, edges)


def _number(text: str) -> float:
    """Return a number. Raises ValueError for other words, `nan` among them, which would count as the largest."""
    number = float(text)
    if not np.isfinite(number):
        raise ValueError(f"{text} is not finite")
    return number


def parse_prevalences(text: str) -> tuple[float, ...]:
    """Read `0.02,0.1` or `2%,10%`; `2%,0.02` is one share.

    Raises:
        UsageError: There is none, or one is no share between 0 and 1.
    """
    return tuple(dict.fromkeys(_prevalence(part.strip(), text) for part in text.split(",")))


def _prevalence(part: str, text: str) -> float:
    try:
        number = round(float(part.removesuffix("%")) / (100 if part.endswith("%") else 1), 6)
    except ValueError:
        number = float("nan")
    if not 0 < number < 1:
        raise UsageError(
            f"--prevalence {text}: '{part}' is no share between 0 and 1; write two percent as 0.02 or 2%, with a point "
            "for the decimals and commas between several"
        )
    return number
