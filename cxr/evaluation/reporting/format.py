"""Figures in sentences: percent, points and intervals; and tables in Markdown."""

from collections.abc import Callable, Iterable, Sequence

from cxr.core.files import JsonObject
from cxr.evaluation.interval import Interval


def percent(value: float | None) -> str:
    """Return a share as `94.7 %`."""
    return "unknown" if value is None else f"{100 * value:.1f} %"


def with_interval(value: Interval) -> str:
    """Return a share with its 95 % interval, as `94.7 % [92.8, 96.3]`; without bounds where they are undefined."""
    return f"{percent(value.value)}{_bounds(value)}"


def points(value: Interval) -> str:
    """Return a difference of two shares with its 95 % interval, as `7.8 points [5.0, 10.6]`."""
    return f"{100 * (value.value or 0):.1f} points{_bounds(value)}"


def _bounds(value: Interval) -> str:
    low, high = value.low, value.high
    return "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"


NOT_DEFINED = "-"
NAMED = 5  # in a sentence; the JSON report names more


def share(value: JsonObject | None) -> str:
    """Return `94.1 % [92.2, 95.6]`; the bounds are left out where there are none."""
    return _figure(value, lambda number: f"{100 * number:.1f}", " %")


def number_with_interval(value: JsonObject | None) -> str:
    """Return `0.312 [0.281, 0.345]`."""
    return _figure(value, lambda one: f"{one:.3f}", "")


def bare_percent(value: JsonObject | None) -> str:
    """Return a share as in `share`, without the sign, for a table of many."""
    return _figure(value, lambda one: f"{100 * one:.1f}", "")


def signed_points(value: JsonObject | None) -> str:
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


def count_with_names(value: JsonObject, what: str) -> str:
    """Return a number with its first names: `Rows without a label: 2 (a.png, b.png).`."""
    named = ", ".join(value["first"][:NAMED])
    more = ", ..." if value["number"] > NAMED else ""
    return f"{what}: {value['number']:,} ({named}{more})."


def _figure(value: JsonObject | None, write: Callable[[float], str], unit: str) -> str:
    if value is None or value["value"] is None:
        return NOT_DEFINED
    bounds = "" if value["low"] is None else f" [{write(value['low'])}, {write(value['high'])}]"
    return f"{write(value['value'])}{unit}{bounds}"


RESEARCH_ONLY = "For research. Not a medical device; it supports professionals and never decides."


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; the first column is left-aligned, the others right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def synthetic_warning(data: JsonObject) -> str:
    """Return a warning where drawn phantoms were among the data, else the empty string."""
    if not data["synthetic_images"]:
        return ""
    return (
        f"> **Drawn phantoms.** {data['synthetic_images']} of {data['images']} images are drawn by this software. "
        "The figures show that the pipeline runs; they mean nothing for patients.\n\n"
    )


def metrics_rows(metrics: JsonObject, classes: Sequence[str]) -> list[list[str]]:
    """Return rows of class, sensitivity and specificity, with four decimals."""
    return [[name, f"{metrics['sensitivity'][name]:.4f}", f"{metrics['specificity'][name]:.4f}"] for name in classes]
