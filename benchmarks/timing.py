"""Paired timing: every arm once a round, the first arm another one each round, ratios taken within a round.

What else the machine does slows a whole round, so it cancels in a ratio; medians of seconds it would shift.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

Measured = TypeVar("Measured")


class Quartiles(NamedTuple):
    """Lower quartile, median and upper quartile."""

    low: float
    median: float
    high: float

    def __str__(self) -> str:
        return f"{_short(self.median)} [{_short(self.low)}-{_short(self.high)}]"


def quartiles(values: Sequence[float]) -> Quartiles:
    """Return the quartiles of one value or more."""
    if len(values) == 1:
        return Quartiles(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Quartiles(low, median, high)


def interleave(arms: Mapping[str, Callable[[], Measured]], rounds: int) -> dict[str, list[Measured]]:
    """Run every arm once a round, in an order that is rotated by one each round; return what each measured."""
    names = list(arms)
    measured: dict[str, list[Measured]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            measured[name].append(arms[name]())
    return measured


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> Quartiles:
    """Return the quartiles of the quotients of each round."""
    return quartiles([above / below for above, below in zip(numerators, denominators, strict=True)])


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table that is legible as text and as Markdown."""
    texts = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in texts]
    lines = [f"| {' | '.join(row)} |" for row in padded]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}".rstrip(".")
