"""Figures in print: one way to round each kind, and words where nothing was measured."""

from collections.abc import Iterable, Mapping

from cxr.evaluation.reporting.blocks import Cell, Paragraph, Row, Table
from cxr.evaluation.reporting.pieces import Fixed, Piece, Printed

NOT_MEASURED = "not measured"
MINUS = "\N{MINUS SIGN}"
SMALLEST_P = 0.001

Interval = Mapping[str, float | None]


def text(value: object) -> Cell:
    """Words; nothing becomes 'not measured'."""
    return missing() if value is None or value == "" else Cell((str(value),))


def missing(words: str = NOT_MEASURED) -> Cell:
    """What was not measured."""
    return Cell((words,), "missing")


def badge(result: str, words: str | None = None) -> Cell:
    """A result in a coloured label."""
    return Cell((words or result.replace("_", " "),), f"badge-{result}")


def count(value: int | None) -> Cell:
    """A number of images, with thousands marked."""
    return missing() if value is None else Cell((Printed(value, f"{value:,}"),), "number")


def number(value: float | None, digits: int = 3) -> Cell:
    """A figure with a fixed number of decimals."""
    return missing() if value is None else Cell((printed(value, digits),), "number")


def signed(value: float | None, digits: int = 3) -> Cell:
    """A difference, with its sign."""
    return missing() if value is None else Cell((_with_sign(value, digits),), "number")


def percent(value: float | None, digits: int = 1) -> Cell:
    """A share as a percentage."""
    return missing() if value is None else Cell((as_percent(value, digits),), "number")


def p_value(value: float | None) -> Cell:
    """A probability of at least such a result by chance."""
    if value is None:
        return missing()
    shown = f"{value:.3f}" if value >= SMALLEST_P else f"{value:.0e}"
    return Cell((Printed(value, shown),), "number")


def interval(value: Interval | None, digits: int = 3, sign: bool = False) -> Cell:
    """A value with its interval, as in 0.951 [0.934, 0.966]."""
    if value is None or value.get("value") is None:
        return missing()
    return Cell(interval_pieces(value, digits, sign), "number")


def interval_pieces(value: Interval, digits: int = 3, sign: bool = False) -> tuple[Piece, ...]:
    """Return the pieces of a value with its interval; the interval is left out where it is not known."""
    show = _with_sign if sign else printed
    middle, low, high = (value.get(key) for key in ("value", "low", "high"))
    if middle is None:
        return (NOT_MEASURED,)
    if low is None or high is None:
        return (show(middle, digits),)
    return (show(middle, digits), " [", show(low, digits), ", ", show(high, digits), "]")


def value_of(value: Interval | None) -> float | None:
    """Return the middle of an interval that may be absent."""
    return None if value is None else value.get("value")


def printed(value: float, digits: int) -> Printed:
    """A figure with a fixed number of decimals and a true minus sign."""
    return Printed(value, f"{value:.{digits}f}".replace("-", MINUS))


def as_percent(value: float, digits: int = 1) -> Printed:
    """A share as a percentage."""
    return Printed(value, f"{100 * value:.{digits}f} %".replace("-", MINUS))


def raw(value: object) -> Cell:
    """A value of JSON as it stands there."""
    if value is None:
        return Cell(("none",), "missing")
    if isinstance(value, bool):
        return Cell(("yes" if value else "no",))
    if isinstance(value, int | float):
        return Cell((Printed(value, repr(value).replace("-", MINUS)),), "number")
    return Cell((str(value),))


def not_measured(what: str, why: str = "") -> Paragraph:
    """Words in the place of what is absent."""
    return Paragraph((f"{what}: {NOT_MEASURED}{f' ({why})' if why else ''}.",), "missing")


def table(
    caption: str, header: Iterable[str], rows: Iterable[Iterable[Cell] | Row], notes: tuple[Piece, ...] = ()
) -> Table:
    """Return a table of rows of cells."""
    whole = tuple(row if isinstance(row, Row) else Row(tuple(row)) for row in rows)
    return Table(caption, tuple(header), whole, notes)


def level() -> Fixed:
    """The level of every interval."""
    return Fixed("95 %")


def _with_sign(value: float, digits: int) -> Printed:
    return Printed(value, f"{value:+.{digits}f}".replace("-", MINUS))
