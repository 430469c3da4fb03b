"""Net benefit, and error by coverage."""

from collections.abc import Sequence

from cxr.evaluation.reporting.blocks import Chart
from cxr.evaluation.reporting.charts_base import axis, colour, spec, tooltip
from cxr.files import JsonObject

WAYS = (("model", "by the model"), ("all", "treat all"), ("none", "treat none"))


def decision_chart(place: str, curve: Sequence[JsonObject]) -> Chart:
    """Return net benefit by threshold of treating by the model, all, or none."""
    rows = [
        {"x": one["threshold"], "y": one[key], "way": words}
        for key, words in WAYS
        for one in curve
        if one.get(key) is not None
    ]
    most = max((row["y"] for row in rows), default=0.4)
    line = {
        "mark": {"type": "line", "clip": True},
        "encoding": {
            "x": axis("x", "probability from which one would act", (0.0, 1.0)),
            "y": axis("y", "net benefit", (-0.05, round(most + 0.03, 2))),
            "color": colour("way", [words for _, words in WAYS]),
            "tooltip": tooltip(("way", "", ""), ("x", "threshold", ".2f"), ("y", "net benefit", ".3f")),
        },
    }
    alt = "Net benefit of acting by the model, on all or on none, by the probability from which one would act."
    return Chart(f"{place}-chart-benefit", spec(rows, [line]), "Decision curve of the target class", alt)


def risk_chart(place: str, curve: Sequence[JsonObject]) -> Chart:
    """Return the error among the surest answers, by the share answered."""
    shown = tooltip(("coverage", "answered", ".2f"), ("risk", "error", ".3f"))
    line = {
        "mark": {"type": "area", "line": {"color": "var(--s1)"}, "color": "var(--s1)", "fillOpacity": 0.15},
        "encoding": {
            "x": axis("coverage", "share answered, the surest first", (0.0, 1.0)),
            "y": axis("risk", "error among the answered", scale={"zero": True}),
            "tooltip": shown,
        },
    }
    alt = "Error among the answered images by the share answered, the surest first."
    return Chart(f"{place}-chart-risk", spec(list(curve), [line], 200), "Error by coverage", alt)
