"""Groups of files by a column: its values, or between numbers."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

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

    def named(
        self, cells: Sequence[str], where: str, rows: Sequence[str] = (), *, decimal_comma: bool = False
    ) -> dict[str, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]:
        """Return the groups in order, each with the cells that belong to it, bool (n,); letter case does not count.

        Args:
            cells: Of the column.
            where: What sentences call the table.
            rows: What they call the row of each cell; empty: they name none.
            decimal_comma: Whether the table is one in which the comma is known to be the decimal point.

        Raises:
            DataError: There are too many values, or a cell is no number where edges are given, or may be two.
        """
        if self.edges and (unsure := _unsure(cells, decimal_comma=decimal_comma)) is not None:
            raise self._two_readings(bare(cells[unsure]), where, rows[unsure] if rows else "")
        spelt: dict[str, str] = {}  # as the first cell of a group has it
        keys = [self._key(spelt.setdefault(folded(bare(cell)), composed(bare(cell))), where) for cell in cells]
        found = sorted(set(keys))
        if len(found) > MOST:
            raise DataError(
                f"the column '{self.column}' of {where} has {len(found)} values, too many to be groups (at most "
                f"{MOST}); group numbers by their limits, as in --by {self.column}=18,65, or add a column of groups"
            )
        return {name: np.array([key == (order, name) for key in keys]) for order, name in found}

    def _two_readings(self, cell: str, where: str, row: str) -> DataError:
        """Return the error of a number with a sign that may stand between thousands, or before decimals."""
        whole, decimal = re.sub("[.,]", "", cell), cell.replace(",", ".")
        return DataError(
            f"{where}{f', {row},' if row else ''} has '{cell}' in the column '{self.column}', which may be {whole} or "
            f"{float(decimal):g}; expected numbers without signs between thousands. Write {whole} where it is that, "
            f"else {decimal}0, and so all of the column"
        )

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


_UNSURE = {sign: re.compile(rf"[-+]?[1-9]\d{{0,2}}\{sign}\d{{3}}", re.ASCII) for sign in ",."}
_DECIMAL = {sign: re.compile(rf"[-+]?\d+\{sign}\d+", re.ASCII) for sign in ",."}


def _unsure(cells: Iterable[str], *, decimal_comma: bool) -> int | None:
    """Return the place of the first cell whose comma or point may stand between thousands; None: there is none.

    A comma before three digits may, unless the column, or its table, tells that the comma is the decimal point. A point
    before three digits is the decimal one, unless the comma is.
    """
    numbers = list(map(bare, cells))
    is_decimal = {sign: any(map(partial(_is_decimal, sign), numbers)) for sign in ",."}
    comma = is_decimal[","] or (decimal_comma and not is_decimal["."])
    unsure = [_UNSURE[sign] for sign, asked in ((",", not comma), (".", comma and not is_decimal["."])) if asked]
    return next((place for place, cell in enumerate(numbers) if any(one.fullmatch(cell) for one in unsure)), None)


def _is_decimal(sign: str, cell: str) -> bool:
    """Tell whether the sign in a cell can stand for nothing but the decimal point."""
    return bool(_DECIMAL[sign].fullmatch(cell)) and not _UNSURE[sign].fullmatch(cell)


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
