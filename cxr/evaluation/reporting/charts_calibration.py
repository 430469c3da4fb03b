"""Reliability: does what is called 0.9 come true nine times in ten?"""

from collections.abc import Sequence

from cxr.evaluation.reporting.blocks import Chart
from cxr.evaluation.reporting.charts_base import axis, colour, field, reference, spec, tooltip
from cxr.files import JsonObject

UNIT = (0.0, 1.0)
ACROSS, UP = "mean probability", "came true"


def reliability_charts(place: str, calibration: JsonObject) -> list[Chart]:
    """Return that of the answer given, and that of each class, as far as there are bins."""
    charts = []
    if calibration.get("reliability"):
        rows = [one | {"class": "answer given"} for one in calibration["reliability"]]
        charts.append(_chart(f"{place}-chart-reliability", rows, ["answer given"], "Reliability of the answer given"))
    by_class = calibration.get("by_class") or []
    rows = [bin_ | {"class": one["name"]} for one in by_class for bin_ in one["reliability"]]
    if rows:
        names = [one["name"] for one in by_class]
        charts.append(_chart(f"{place}-chart-reliability-classes", rows, names, "Reliability of each class"))
    return charts


def _chart(name: str, rows: Sequence[JsonObject], classes: Sequence[str], caption: str) -> Chart:
    across, up = axis("confidence", ACROSS, UNIT), axis("accuracy", UP, UNIT)
    shade = colour("class", classes)
    shown = tooltip(
        ("class", "", ""),
        ("confidence", ACROSS, ".3f"),
        ("accuracy", UP, ".3f"),
        ("n", "images", ",d"),
    )
    layers = [
        reference(
            [{"x": 0, "y": 0}, {"x": 1, "y": 1}],
            {"x": axis("x", ACROSS, UNIT), "y": axis("y", UP, UNIT)},
        ),
        {
            "mark": {"type": "rule", "strokeWidth": 1},
            "encoding": {"x": across, "y": up | {"field": "low"}, "y2": {"field": "high"}, "color": shade},
        },
        {
            "mark": {"type": "point", "filled": True, "opacity": 1},
            "encoding": {
                "x": across,
                "y": up,
                "color": shade,
                "size": field("n", scale={"range": [25, 160]}, legend=None),
                "tooltip": shown,
            },
        },
    ]
    alt = f"{caption}: points on the dashed diagonal are calibrated; bars are intervals of the bins."
    return Chart(name, spec(rows, layers), caption, alt)
