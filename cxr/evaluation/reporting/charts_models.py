"""Balanced accuracy of the models and of what needs no lungs, on one axis."""

from cxr.evaluation.reporting.blocks import Block, Chart
from cxr.evaluation.reporting.cells import not_measured, value_of
from cxr.evaluation.reporting.charts_base import axis, field, reference, spec, tooltip
from cxr.evaluation.reporting.page_names import name_of, ordered
from cxr.files import JsonObject

NETWORK, OTHER = "network", "needs no lungs"
PROBES = (
    ("oracle", "source collection only"),
    ("floor", "overall grey only"),
    ("frame", "frame only"),
    ("chance", "chance"),
)


def accuracy_chart(report: JsonObject) -> Block:
    """Return points with their intervals; dashed lines carry the probes across to the models."""
    rows = _rows(report)
    if not any(row["kind"] == NETWORK for row in rows):
        return not_measured("Balanced accuracy")
    least = min(min(row["value"], row["low"]) for row in rows)
    horizontal = axis("value", "balanced accuracy", [max(0.0, round(least - 0.05, 2)), 1.0])
    vertical = field("name", kind="nominal", sort=None, axis={"ticks": False, "domain": False})
    shade = field("kind", kind="nominal", scale={"domain": [NETWORK, OTHER], "range": ["var(--s1)", "var(--s2)"]})
    probes = [row for row in rows if row["kind"] == OTHER]
    shown = tooltip(("name", "", ""), ("value", "value", ".3f"), ("low", "from", ".3f"), ("high", "to", ".3f"))
    layers = [
        reference(probes, {"x": horizontal}, "rule"),
        {
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {"x": horizontal | {"field": "low"}, "x2": {"field": "high"}, "y": vertical, "color": shade},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
            "encoding": {
                "x": horizontal,
                "y": vertical,
                "color": shade,
                "tooltip": shown,
            },
        },
        {
            "mark": {"type": "text", "dx": 7, "align": "left"},
            "encoding": {"x": horizontal | {"field": "high"}, "y": vertical, "text": field("value", format=".3f")},
        },
    ]
    alt = (
        "Balanced accuracy with intervals of each model, and of probes that see no lungs; the tables have the numbers."
    )
    return Chart("chart-accuracy", spec(rows, layers, 34 * len(rows)), "Models and probes on one axis", alt)


def _rows(report: JsonObject) -> list[JsonObject]:
    rows = []
    for model in ordered(report["models"]):
        found = (model.get("metrics") or {}).get("balanced_accuracy") or {}
        if value_of(found) is not None:
            rows.append(_row(name_of(model), NETWORK, found))
    floor = (report.get("floor") or {}) | {"chance": report.get("chance", (report.get("floor") or {}).get("chance"))}
    for key, words in PROBES:
        found = floor.get(key)
        found = found if isinstance(found, dict) else {"value": found}
        if found["value"] is not None:
            rows.append(_row(words, OTHER, found))
    return rows


def _row(name: str, kind: str, found: JsonObject) -> JsonObject:
    value = found["value"]
    low, high = (value if found.get(end) is None else found[end] for end in ("low", "high"))
    return {"name": name, "kind": kind, "value": value, "low": low, "high": high}
