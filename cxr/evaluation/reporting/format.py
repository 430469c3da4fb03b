"""Figures as text, with their intervals, in every table and sentence; and tables in Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cxr.evaluation.stats.intervals import Interval

RESEARCH_ONLY = "For research. Not a medical device; it supports professionals and never decides."
NOT_DEFINED = "-"


@dataclass(frozen=True, slots=True)
class Notation:
    """How a kind of figure is written.

    Attributes:
        digits: Behind the decimal point.
        scale: What a figure is multiplied by: 100 for a percentage.
        signed: Whether a plus stands before what is not negative.
        unit: Behind a figure, with its space; bounds in brackets go without.
        undefined: What stands for a figure without a value.
    """

    digits: int = 3
    scale: int = 1
    signed: bool = False
    unit: str = ""
    undefined: str = NOT_DEFINED

    def number(self, value: float | None) -> str:
        """Return `94.7 %`."""
        return self.undefined if value is None else f"{self._bare(value)}{self.unit}"

    def interval(self, figure: Interval | None) -> str:
        """Return `94.7 % [92.8, 96.3]`; without bounds where nothing shows the spread."""
        if figure is None or figure.low is None or figure.high is None:
            return self.number(figure.value if figure else None)
        return f"{self.number(figure.value)} [{self._bare(figure.low)}, {self._bare(figure.high)}]"

    def bounds(self, figure: Interval) -> str:
        """Return `92.8 % to 96.3 %`; `undefined` where nothing shows the spread."""
        if figure.low is None or figure.high is None:
            return self.undefined
        return f"{self.number(figure.low)} to {self.number(figure.high)}"

    def _bare(self, value: float) -> str:
        return f"{self.scale * value:{'+' if self.signed else ''}.{self.digits}f}"


NUMBER = Notation()
HUNDREDTHS = Notation(2)
FINE_NUMBER = Notation(4)
CHANGE = Notation(signed=True)
FINE_CHANGE = Notation(4, signed=True)
PERCENT = Notation(1, 100, unit=" %")
BARE_PERCENT = Notation(1, 100)  # where the header of the table has the sign
SHARE = Notation(1, 100, unit=" %", undefined="unknown")  # in a sentence
POINTS = Notation(1, 100, unit=" points", undefined="unknown")  # the same of a difference of two shares
SIGNED_POINTS = Notation(1, 100, signed=True)


def above_or_below(difference: Interval, notation: Notation = POINTS) -> str:
    """Return `3.9 points [-0.2, 8.0] below`, the bounds in the direction that the word says."""
    value, low, high = difference.value, difference.low, difference.high
    if value is None or value >= 0:
        return f"{notation.interval(difference)} above"
    turned = Interval(-value, None if high is None else -high, None if low is None else -low)
    return f"{notation.interval(turned)} below"


def p_value(value: float | None) -> str:
    """Return `0.034`, `< 0.001`, or a dash."""
    return "< 0.001" if value is not None and value < 0.001 else NUMBER.number(value)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; the first column is left-aligned, the others right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
