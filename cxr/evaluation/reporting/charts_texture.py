"""Changed images, shuffled patches, missing frequencies."""

from collections.abc import Sequence

from cxr.evaluation.reporting.blocks import Chart
from cxr.evaluation.reporting.charts_base import axis, colour, field, spec, tooltip
from cxr.files import JsonObject

UNIT = (0.0, 1.0)


def perturbation_chart(place: str, found: Sequence[JsonObject]) -> Chart:
    """Return bars of what each change costs."""
    bars = {
        "mark": {"type": "bar", "color": "var(--s1)", "cornerRadiusEnd": 2},
        "encoding": {
            "y": field("text", kind="nominal", sort=None, axis={"ticks": False, "domain": False}),
            "x": field("change", "difference of balanced accuracy"),
            "tooltip": tooltip(
                ("text", "", ""), ("change", "difference", "+.3f"), ("flips", "answers that change", ".3f")
            ),
        },
    }
    alt = "Bars of the difference of balanced accuracy for each change to the images; the table above has the numbers."
    return Chart(f"{place}-chart-robustness", spec(list(found), [bars], 22 * len(found)), "What each change costs", alt)


def texture_charts(place: str, shuffle: Sequence[JsonObject], frequencies: Sequence[JsonObject]) -> list[Chart]:
    """Return what is left with patches shuffled, and with low or high frequencies only, as far as measured."""
    charts = []
    if shuffle:
        rows = [one | {"patches": f"{one['grid']} by {one['grid']}"} for one in shuffle]
        across = field("patches", "patches, shuffled", "nominal", sort=None, axis={"labelAngle": 0})
        shown = tooltip(("patches", "patches", ""), ("balanced_accuracy", "balanced accuracy", ".3f"))
        alt = "Balanced accuracy when the image is cut into patches and these are shuffled."
        layer = _line(across, shown, "var(--s1)")
        charts.append(Chart(f"{place}-chart-shuffle", spec(rows, [layer], 190), "Patches shuffled", alt))
    if frequencies:
        kinds = list(dict.fromkeys(one["kind"] for one in frequencies))
        shown = tooltip(("kind", "kept", ""), ("cut", "cut", ".3f"), ("balanced_accuracy", "balanced accuracy", ".3f"))
        layer = _line(axis("cut", "cut-off frequency"), shown, None)
        layer["encoding"]["color"] = colour("kind", kinds)
        alt = "Balanced accuracy when only frequencies below or above a cut-off are kept."
        name = f"{place}-chart-frequencies"
        charts.append(Chart(name, spec(list(frequencies), [layer], 190), "Low or high frequencies only", alt))
    return charts


def _line(across: JsonObject, shown: list[JsonObject], shade: str | None) -> JsonObject:
    mark: JsonObject = {"type": "line", "point": {"filled": True, "size": 50}} | ({"color": shade} if shade else {})
    up = axis("balanced_accuracy", "balanced accuracy", UNIT)
    if shade:
        mark["point"] |= {"color": shade}
    return {"mark": mark, "encoding": {"x": across, "y": up, "tooltip": shown}}
