"""Figures in sentences: percent, points and intervals."""

from cxr.files import JsonObject


def percent(value: float | None) -> str:
    """Return a share as `94.7 %`."""
    return "unknown" if value is None else f"{100 * value:.1f} %"


def with_interval(value: JsonObject) -> str:
    """Return a share with its 95 % interval, as `94.7 % [92.8, 96.3]`; without bounds where they are undefined."""
    return f"{percent(value['value'])}{_bounds(value)}"


def points(value: JsonObject) -> str:
    """Return a difference of two shares with its 95 % interval, as `7.8 points [5.0, 10.6]`."""
    return f"{100 * value['value']:.1f} points{_bounds(value)}"


def _bounds(value: JsonObject) -> str:
    return "" if value["low"] is None else f" [{100 * value['low']:.1f}, {100 * value['high']:.1f}]"
