"""Class counts of each split."""

from cxr.evaluation.reporting.blocks import Chart
from cxr.evaluation.reporting.charts_base import colour, field, spec, tooltip
from cxr.files import JsonObject


def split_chart(data: JsonObject) -> Chart:
    """Return bars of the classes, side by side in each split."""
    classes, splits = list(data["classes"]), list(data["classes_by_split"])
    rows = [
        {"split": split, "class": label, "images": images}
        for split, counts in data["classes_by_split"].items()
        for label, images in counts.items()
    ]
    bars = {
        "mark": {"type": "bar", "cornerRadiusEnd": 2},
        "encoding": {
            "y": field("split", kind="nominal", sort=splits, axis={"ticks": False, "domain": False}),
            "x": field("images", "images"),
            "yOffset": field("class", kind="nominal", sort=classes),
            "color": colour("class", classes),
            "tooltip": tooltip(("split", "split", ""), ("class", "class", ""), ("images", "images", ",d")),
        },
    }
    alt = "Bars of the number of images of each class in each split; the table above has the numbers."
    return Chart("chart-splits", spec(rows, [bars], 17 * len(rows)), "Classes by split", alt)
