"""What the charts share. Colours are CSS variables, so that one drawing suits light, dark and paper."""

from collections.abc import Sequence
from typing import Any

from cxr.files import JsonObject

SERIES = tuple(f"var(--s{number})" for number in range(1, 7))
HEIGHT = 240
# Vega-Lite writes these once into every chart.
CONFIG: JsonObject = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--soft)",
        "titleColor": "var(--soft)",
        "titleFontWeight": "normal",
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "labelLimit": 190,
        "labelFlush": False,
    },
    "axisQuantitative": {"tickCount": 6, "labelSeparation": 6},
    "legend": {
        "labelColor": "var(--text)",
        "titleColor": "var(--soft)",
        "labelFontSize": 12,
        "orient": "top",
        "title": None,
        "symbolStrokeWidth": 2,
    },
    "text": {"color": "var(--text)", "fontSize": 12},
    "rule": {"color": "var(--soft)"},
    "line": {"strokeWidth": 2},
    "range": {"category": list(SERIES)},
}


def spec(values: Sequence[JsonObject], layers: Sequence[JsonObject], height: int = HEIGHT) -> JsonObject:
    """Return a chart as wide as its place, of layers over the same rows; height in pixels."""
    place = {"width": "container", "height": height, "autosize": {"type": "fit-x", "contains": "padding"}}
    return place | {"data": {"values": list(values)}, "layer": list(layers)}


def field(name: str, title: str | None = None, kind: str = "quantitative", **more: Any) -> JsonObject:
    """Return an encoding of the column `name`."""
    return {"field": name, "type": kind, "title": title} | more


def axis(name: str, title: str, domain: Sequence[float] | None = None, **more: Any) -> JsonObject:
    """Return an encoding with a scale that need not begin at nought."""
    scale = more.pop("scale", {}) | ({"domain": list(domain)} if domain else {"zero": False})
    return field(name, title, scale=scale, **more)


def colour(name: str, domain: Sequence[str]) -> JsonObject:
    """Return an encoding that gives each of `domain` its colour, in order."""
    chosen = [SERIES[number % len(SERIES)] for number in range(len(domain))]
    return field(name, kind="nominal", scale={"domain": list(domain), "range": chosen})


def tooltip(*columns: tuple[str, str, str]) -> list[JsonObject]:
    """Return what is shown at the pointer: column, title and number format (empty for words) of each."""
    return [
        {"field": name, "title": title, **({"format": form, "type": "quantitative"} if form else {"type": "nominal"})}
        for name, title, form in columns
    ]


def reference(values: Sequence[JsonObject], encoding: JsonObject, mark: str = "line") -> JsonObject:
    """Return a dashed grey layer of its own rows: a diagonal, or a level."""
    style = {"type": mark, "strokeDash": [4, 4], "color": "var(--soft)", "strokeWidth": 1}
    return {"data": {"values": list(values)}, "mark": style, "encoding": encoding}
