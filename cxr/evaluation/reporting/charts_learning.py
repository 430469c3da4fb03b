"""Learning curves that answer to the pointer and to clicks in the legend."""

from collections.abc import Sequence

from cxr.evaluation.reporting.blocks import Chart
from cxr.evaluation.reporting.charts_base import axis, colour, field, spec, tooltip
from cxr.files import JsonObject

KINDS = ("training", "validation")
MEASURES = (("loss", "loss", "Loss"), ("accuracy", "accuracy", "Accuracy"))


def learning_charts(rows: Sequence[JsonObject]) -> list[Chart]:
    """Return one chart for the loss and one for the accuracy, all models in each."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    return [_chart(rows, models, *measure) for measure in MEASURES]


def _chart(rows: Sequence[JsonObject], models: Sequence[str], name: str, title: str, caption: str) -> Chart:
    values = [
        {"model": row["model"], "epoch": row["epoch"], "kind": kind, "value": row[column]}
        for row in rows
        for kind, column in zip(KINDS, (name, f"val_{name}"), strict=True)
        if row.get(column) is not None
    ]
    alt = f"{caption} by epoch on training and validation, a colour for each model."
    drawn = spec(values, [_lines(models, title), _points(models, title)], 260)
    return Chart(f"chart-learning-{name}", drawn, f"{caption} by epoch", alt)


def _encoding(models: Sequence[str], title: str) -> JsonObject:
    return {
        "x": axis("epoch", "epoch", axis={"tickMinStep": 1, "format": "d"}),
        "y": axis("value", title),
        "color": colour("model", models),
    }


def _lines(models: Sequence[str], title: str) -> JsonObject:
    chosen = {"name": "chosen", "select": {"type": "point", "fields": ["model"]}, "bind": "legend"}
    scale = {"domain": list(KINDS), "range": [[5, 4], [1, 0]]}
    dashes = field("kind", kind="nominal", scale=scale, legend={"orient": "bottom"})
    faded = {"condition": {"param": "chosen", "value": 1}, "value": 0.08}
    return {
        "params": [chosen],
        "mark": {"type": "line"},
        "encoding": _encoding(models, title) | {"strokeDash": dashes, "opacity": faded},
    }


def _points(models: Sequence[str], title: str) -> JsonObject:
    """Return invisible points that show themselves and their numbers near the pointer."""
    near = {"type": "point", "on": "pointerover", "clear": "pointerout", "nearest": True, "fields": ["epoch"]}
    shown = {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0}
    numbers = tooltip(("model", "model", ""), ("kind", "images", ""), ("epoch", "epoch", "d"), ("value", title, ".4f"))
    return {
        "params": [{"name": "near", "select": near}],
        "transform": [{"filter": {"param": "chosen"}}],
        "mark": {"type": "point", "filled": True, "size": 45},
        "encoding": _encoding(models, title) | {"opacity": shown, "tooltip": numbers},
    }
