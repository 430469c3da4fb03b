"""ROC, precision against recall, and distributions of the probabilities."""

from collections.abc import Sequence

from cxr.evaluation.reporting.blocks import Chart
from cxr.evaluation.reporting.charts_base import axis, colour, field, reference, spec, tooltip
from cxr.files import JsonObject

UNIT = (0.0, 1.0)


def roc_chart(place: str, curves: Sequence[JsonObject]) -> Chart:
    """Return a line for each class against the others."""
    rows = _rows(curves, "fpr", "tpr")
    diagonal = reference([{"x": 0, "y": 0}, {"x": 1, "y": 1}], {"x": axis("x", "", UNIT), "y": axis("y", "", UNIT)})
    layers = [diagonal, _line(curves, "false positive rate", "sensitivity")]
    alt = "ROC curves, one class against the others; the areas are in the table by class."
    return Chart(f"{place}-chart-roc", spec(rows, layers), "ROC, one class against the others", alt)


def precision_chart(place: str, curves: Sequence[JsonObject]) -> Chart:
    """Return precision against recall for each class."""
    rows = _rows(curves, "recall", "precision")
    alt = "Precision against recall, one class against the others, at the class shares of the test split."
    layers = [_line(curves, "recall", "precision")]
    return Chart(f"{place}-chart-pr", spec(rows, layers), "Precision and recall", alt)


def _rows(curves: Sequence[JsonObject], across: str, up: str) -> list[JsonObject]:
    """Return the points in the order of the thresholds, which is not that of x where several points share one."""
    return [
        {"class": one["class"], "x": x, "y": y, "at": at}
        for one in curves
        for at, (x, y) in enumerate(zip(one[across], one[up], strict=True))
    ]


def _line(curves: Sequence[JsonObject], across: str, up: str) -> JsonObject:
    return {
        "mark": {"type": "line"},
        "encoding": {
            "x": axis("x", across, UNIT),
            "y": axis("y", up, UNIT),
            "order": field("at"),
            "color": colour("class", [one["class"] for one in curves]),
            "tooltip": tooltip(("class", "class", ""), ("x", across, ".3f"), ("y", up, ".3f")),
        },
    }


def distribution_charts(place: str, parts: Sequence[JsonObject]) -> list[Chart]:
    """Return for each class how its probability is spread over the images of every true class."""
    truths = list(dict.fromkeys(one["class"] for one in parts))
    targets = list(dict.fromkeys(one["probability_of"] for one in parts))
    return [_spread(place, number, target, truths, parts) for number, target in enumerate(targets)]


def _spread(place: str, number: int, target: str, truths: Sequence[str], parts: Sequence[JsonObject]) -> Chart:
    rows = [row for one in parts if one["probability_of"] == target for row in _steps(one)]
    line = {
        "mark": {"type": "line", "interpolate": "step-after"},
        "encoding": {
            "x": axis("x", f"probability of {target}", UNIT),
            "y": field("y", "images, root scale", scale={"type": "sqrt"}, axis={"tickCount": 5}),
            "color": colour("class", truths),
            "tooltip": tooltip(("class", "true class", ""), ("x", "from", ".2f"), ("y", "images", ",d")),
        },
    }
    alt = f"How many test images of each true class got which probability of {target}."
    name = f"{place}-chart-spread-{number}"
    return Chart(name, spec(rows, [line], 190), f"Probability of {target}, by true class", alt)


def _steps(one: JsonObject) -> list[JsonObject]:
    """Return the steps of a histogram; the last count stands twice, so that its bin has a width."""
    counts = [*one["counts"], one["counts"][-1]]
    return [{"class": one["class"], "x": edge, "y": count} for edge, count in zip(one["edges"], counts, strict=True)]
