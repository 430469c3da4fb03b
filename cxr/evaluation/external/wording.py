"""Figures of a report as people read them."""

from collections.abc import Callable

from cxr.files import JsonObject

NOT_DEFINED = "-"
NAMED = 5  # in a sentence; the JSON report names more


def share(value: JsonObject | None) -> str:
    """Return `94.1 % [92.2, 95.6]`; the bounds are left out where there are none."""
    return _figure(value, lambda number: f"{100 * number:.1f}", " %")


def number(value: JsonObject | None) -> str:
    """Return `0.312 [0.281, 0.345]`."""
    return _figure(value, lambda one: f"{one:.3f}", "")


def percent(value: JsonObject | None) -> str:
    """Return a share as in `share`, without the sign, for a table of many."""
    return _figure(value, lambda one: f"{100 * one:.1f}", "")


def points(value: JsonObject | None) -> str:
    """Return a difference of shares in percentage points: `+1.2 [-0.3, +2.8]`."""
    return _figure(value, lambda one: f"{100 * one:+.1f}", "")


def plain(value: float | None, digits: int = 4) -> str:
    """Return a number, or a dash for null."""
    return NOT_DEFINED if value is None else f"{value:.{digits}f}"


def probability(value: float | None) -> str:
    """Return a p value: `0.034`, `< 0.001`, or a dash."""
    if value is None:
        return NOT_DEFINED
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def count(value: JsonObject, what: str) -> str:
    """Return a number with its first names: `Rows without a label: 2 (a.png, b.png).`."""
    named = ", ".join(value["first"][:NAMED])
    more = ", ..." if value["number"] > NAMED else ""
    return f"{what}: {value['number']:,} ({named}{more})."


def _figure(value: JsonObject | None, write: Callable[[float], str], unit: str) -> str:
    if value is None or value["value"] is None:
        return NOT_DEFINED
    bounds = "" if value["low"] is None else f" [{write(value['low'])}, {write(value['high'])}]"
    return f"{write(value['value'])}{unit}{bounds}"
