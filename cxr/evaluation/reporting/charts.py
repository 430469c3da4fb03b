"""The charts of the page, as Vega-Lite. Colours are CSS variables, so that one drawing suits light, dark and paper."""

from collections.abc import Sequence
from typing import Any

from cxr.core.records import as_json
from cxr.evaluation.audits.perturbations import Filtered, Perturbed, Shuffled
from cxr.evaluation.records import Epoch, ModelReport, Report, ReportData
from cxr.evaluation.reporting.document import Chart, name_of, ordered
from cxr.evaluation.stats.calibration import CalibrationByTemperature
from cxr.evaluation.stats.classification import Distribution, NetBenefit, PrecisionRecallCurve, RocCurve
from cxr.evaluation.stats.decisions import RiskAtCoverage
from cxr.evaluation.stats.intervals import Interval

Json = dict[str, Any]  # Vega-Lite: a chart, a layer, an encoding; or a row of what it draws

SERIES = tuple(f"var(--s{number})" for number in range(1, 7))
HEIGHT = 240
# Vega-Lite writes these once into every chart.
CONFIG: Json = {
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


def _spec(values: Sequence[Json], layers: Sequence[Json], height: int = HEIGHT) -> Json:
    """Return a chart as wide as its place, of layers over the same rows; height in pixels."""
    place = {"width": "container", "height": height, "autosize": {"type": "fit-x", "contains": "padding"}}
    return place | {"data": {"values": list(values)}, "layer": list(layers)}


def _field(name: str, title: str | None = None, kind: str = "quantitative", **more: Any) -> Json:
    """Return an encoding of the column `name`."""
    return {"field": name, "type": kind, "title": title} | more


def _axis(name: str, title: str, domain: Sequence[float] | None = None, **more: Any) -> Json:
    """Return an encoding with a scale that need not begin at nought."""
    scale = more.pop("scale", {}) | ({"domain": list(domain)} if domain else {"zero": False})
    return _field(name, title, scale=scale, **more)


def _colour(name: str, domain: Sequence[str]) -> Json:
    """Return an encoding that gives each of `domain` its colour, in order."""
    chosen = [SERIES[number % len(SERIES)] for number in range(len(domain))]
    return _field(name, kind="nominal", scale={"domain": list(domain), "range": chosen})


def _tooltip(*columns: tuple[str, str, str]) -> list[Json]:
    """Return what is shown at the pointer: column, title and number format (empty for words) of each."""
    return [
        {"field": name, "title": title, **({"format": form, "type": "quantitative"} if form else {"type": "nominal"})}
        for name, title, form in columns
    ]


def _reference(values: Sequence[Json], encoding: Json, mark: str = "line") -> Json:
    """Return a dashed grey layer of its own rows: a diagonal, or a level."""
    style = {"type": mark, "strokeDash": [4, 4], "color": "var(--soft)", "strokeWidth": 1}
    return {"data": {"values": list(values)}, "mark": style, "encoding": encoding}


UNIT = (0.0, 1.0)
ACROSS, UP = "mean probability", "came true"


def reliability_charts(place: str, calibration: CalibrationByTemperature) -> list[Chart]:
    """Return that of the answer given, and that of each class."""
    given = "answer given"
    answers = [as_json(one) | {"class": given} for one in calibration.reliability]
    by_class = [as_json(bin_) | {"class": one.name} for one in calibration.by_class for bin_ in one.reliability]
    names = [one.name for one in calibration.by_class]
    return [
        _reliability_chart(f"{place}-chart-reliability", answers, [given], f"Reliability of the {given}"),
        _reliability_chart(f"{place}-chart-reliability-classes", by_class, names, "Reliability of each class"),
    ]


def _reliability_chart(name: str, rows: Sequence[Json], classes: Sequence[str], caption: str) -> Chart:
    across, up = _axis("confidence", ACROSS, UNIT), _axis("accuracy", UP, UNIT)
    shade = _colour("class", classes)
    shown = _tooltip(
        ("class", "", ""),
        ("confidence", ACROSS, ".3f"),
        ("accuracy", UP, ".3f"),
        ("n", "images", ",d"),
    )
    layers = [
        _reference(
            [{"x": 0, "y": 0}, {"x": 1, "y": 1}],
            {"x": _axis("x", ACROSS, UNIT), "y": _axis("y", UP, UNIT)},
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
                "size": _field("n", scale={"range": [25, 160]}, legend=None),
                "tooltip": shown,
            },
        },
    ]
    alt = f"{caption}: points on the dashed diagonal are calibrated; bars are intervals of the bins."
    return Chart(name, _spec(rows, layers), caption, alt)


def roc_chart(place: str, curves: Sequence[RocCurve]) -> Chart:
    """Return a line for each class against the others."""
    rows = [row for one in curves for row in _points(one.label, one.fpr, one.tpr)]
    diagonal = _reference([{"x": 0, "y": 0}, {"x": 1, "y": 1}], {"x": _axis("x", "", UNIT), "y": _axis("y", "", UNIT)})
    lines = _curve_lines([one.label for one in curves], "false positive rate", "sensitivity")
    alt = "ROC curves, one class against the others; the areas are in the table by class."
    return Chart(f"{place}-chart-roc", _spec(rows, [diagonal, lines]), "ROC, one class against the others", alt)


def precision_chart(place: str, curves: Sequence[PrecisionRecallCurve]) -> Chart:
    """Return precision against recall for each class."""
    rows = [row for one in curves for row in _points(one.label, one.recall, one.precision)]
    lines = _curve_lines([one.label for one in curves], "recall", "precision")
    alt = "Precision against recall, one class against the others, at the class shares of the test split."
    return Chart(f"{place}-chart-pr", _spec(rows, [lines]), "Precision and recall", alt)


def _points(label: str, across: Sequence[float], up: Sequence[float]) -> list[Json]:
    """Return the points in the order of the thresholds, which is not that of x where several points share one."""
    return [{"class": label, "x": x, "y": y, "at": at} for at, (x, y) in enumerate(zip(across, up, strict=True))]


def _curve_lines(classes: Sequence[str], across: str, up: str) -> Json:
    return {
        "mark": {"type": "line"},
        "encoding": {
            "x": _axis("x", across, UNIT),
            "y": _axis("y", up, UNIT),
            "order": _field("at"),
            "color": _colour("class", classes),
            "tooltip": _tooltip(("class", "class", ""), ("x", across, ".3f"), ("y", up, ".3f")),
        },
    }


def distribution_charts(place: str, parts: Sequence[Distribution]) -> list[Chart]:
    """Return for each class how its probability is spread over the images of every true class."""
    truths = list(dict.fromkeys(one.label for one in parts))
    targets = list(dict.fromkeys(one.probability_of for one in parts))
    return [_spread(place, number, target, truths, parts) for number, target in enumerate(targets)]


def _spread(place: str, number: int, target: str, truths: Sequence[str], parts: Sequence[Distribution]) -> Chart:
    rows = [row for one in parts if one.probability_of == target for row in _steps(one)]
    line = {
        "mark": {"type": "line", "interpolate": "step-after"},
        "encoding": {
            "x": _axis("x", f"probability of {target}", UNIT),
            "y": _field("y", "images, root scale", scale={"type": "sqrt"}, axis={"tickCount": 5}),
            "color": _colour("class", truths),
            "tooltip": _tooltip(("class", "true class", ""), ("x", "from", ".2f"), ("y", "images", ",d")),
        },
    }
    alt = f"How many test images of each true class got which probability of {target}."
    name = f"{place}-chart-spread-{number}"
    return Chart(name, _spec(rows, [line], 190), f"Probability of {target}, by true class", alt)


def _steps(one: Distribution) -> list[Json]:
    """Return the steps of a histogram; the last count stands twice, so that its bin has a width."""
    counts = (*one.counts, one.counts[-1])
    return [{"class": one.label, "x": edge, "y": count} for edge, count in zip(one.edges, counts, strict=True)]


def split_chart(data: ReportData) -> Chart:
    """Return bars of the classes, side by side in each split."""
    classes, splits = list(data.classes), list(data.classes_by_split)
    rows = [
        {"split": split, "class": label, "images": images}
        for split, counts in data.classes_by_split.items()
        for label, images in counts.items()
    ]
    bars = {
        "mark": {"type": "bar", "cornerRadiusEnd": 2},
        "encoding": {
            "y": _field("split", kind="nominal", sort=splits, axis={"ticks": False, "domain": False}),
            "x": _field("images", "images"),
            "yOffset": _field("class", kind="nominal", sort=classes),
            "color": _colour("class", classes),
            "tooltip": _tooltip(("split", "split", ""), ("class", "class", ""), ("images", "images", ",d")),
        },
    }
    alt = "Bars of the number of images of each class in each split; the table above has the numbers."
    return Chart("chart-splits", _spec(rows, [bars], 17 * len(rows)), "Classes by split", alt)


def decision_chart(place: str, curve: Sequence[NetBenefit]) -> Chart:
    """Return net benefit by threshold of treating by the model, all, or none."""
    ways: dict[str, list[float | None]] = {
        "by the model": [one.model for one in curve],
        "treat all": [one.all for one in curve],
        "treat none": [one.none for one in curve],
    }
    rows: list[Json] = [
        {"x": one.threshold, "y": benefit, "way": way}
        for way, benefits in ways.items()
        for one, benefit in zip(curve, benefits, strict=True)
        if benefit is not None
    ]
    most = max(row["y"] for row in rows)
    line = {
        "mark": {"type": "line", "clip": True},
        "encoding": {
            "x": _axis("x", "probability from which one would act", (0.0, 1.0)),
            "y": _axis("y", "net benefit", (-0.05, round(most + 0.03, 2))),
            "color": _colour("way", list(ways)),
            "tooltip": _tooltip(("way", "", ""), ("x", "threshold", ".2f"), ("y", "net benefit", ".3f")),
        },
    }
    alt = "Net benefit of acting by the model, on all or on none, by the probability from which one would act."
    return Chart(f"{place}-chart-benefit", _spec(rows, [line]), "Decision curve of the target class", alt)


def risk_chart(place: str, curve: Sequence[RiskAtCoverage]) -> Chart:
    """Return the error among the surest answers, by the share answered."""
    shown = _tooltip(("coverage", "answered", ".2f"), ("risk", "error", ".3f"))
    line = {
        "mark": {"type": "area", "line": {"color": "var(--s1)"}, "color": "var(--s1)", "fillOpacity": 0.15},
        "encoding": {
            "x": _axis("coverage", "share answered, the surest first", (0.0, 1.0)),
            "y": _axis("risk", "error among the answered", scale={"zero": True}),
            "tooltip": shown,
        },
    }
    alt = "Error among the answered images by the share answered, the surest first."
    return Chart(f"{place}-chart-risk", _spec(as_json(curve), [line], 200), "Error by coverage", alt)


KINDS = ("training", "validation")
MEASURES = (("loss", "Loss"), ("accuracy", "Accuracy"))


def learning_charts(epochs: Sequence[Epoch]) -> list[Chart]:
    """Return one chart for the loss and one for the accuracy, all models in each."""
    models = list(dict.fromkeys(one.model for one in epochs))
    return [_learning_chart(epochs, models, *measure) for measure in MEASURES]


def _learning_chart(epochs: Sequence[Epoch], models: Sequence[str], name: str, caption: str) -> Chart:
    values = [
        {"model": one.model, "epoch": one.epoch, "kind": kind, "value": getattr(one, column)}
        for one in epochs
        for kind, column in zip(KINDS, (name, f"val_{name}"), strict=True)
    ]
    alt = f"{caption} by epoch on training and validation, a colour for each model."
    drawn = _spec(values, [_learning_lines(models, name), _learning_points(models, name)], 260)
    return Chart(f"chart-learning-{name}", drawn, f"{caption} by epoch", alt)


def _encoding(models: Sequence[str], title: str) -> Json:
    return {
        "x": _axis("epoch", "epoch", axis={"tickMinStep": 1, "format": "d"}),
        "y": _axis("value", title),
        "color": _colour("model", models),
    }


def _learning_lines(models: Sequence[str], title: str) -> Json:
    chosen = {"name": "chosen", "select": {"type": "point", "fields": ["model"]}, "bind": "legend"}
    scale = {"domain": list(KINDS), "range": [[5, 4], [1, 0]]}
    dashes = _field("kind", kind="nominal", scale=scale, legend={"orient": "bottom"})
    faded = {"condition": {"param": "chosen", "value": 1}, "value": 0.08}
    return {
        "params": [chosen],
        "mark": {"type": "line"},
        "encoding": _encoding(models, title) | {"strokeDash": dashes, "opacity": faded},
    }


def _learning_points(models: Sequence[str], title: str) -> Json:
    """Return invisible points that show themselves and their numbers near the pointer."""
    near = {"type": "point", "on": "pointerover", "clear": "pointerout", "nearest": True, "fields": ["epoch"]}
    shown = {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0}
    numbers = _tooltip(("model", "model", ""), ("kind", "images", ""), ("epoch", "epoch", "d"), ("value", title, ".4f"))
    return {
        "params": [{"name": "near", "select": near}],
        "transform": [{"filter": {"param": "chosen"}}],
        "mark": {"type": "point", "filled": True, "size": 45},
        "encoding": _encoding(models, title) | {"opacity": shown, "tooltip": numbers},
    }


NETWORK, OTHER = "network", "needs no lungs"


def accuracy_chart(report: Report) -> Chart:
    """Return points with their intervals; dashed lines carry the probes across to the models."""
    rows = [*map(_network_row, ordered(report.models)), *_probe_rows(report)]
    least = min(min(row["value"], row["low"]) for row in rows)
    horizontal = _axis("value", "balanced accuracy", [max(0.0, round(least - 0.05, 2)), 1.0])
    vertical = _field("name", kind="nominal", sort=None, axis={"ticks": False, "domain": False})
    shade = _field("kind", kind="nominal", scale={"domain": [NETWORK, OTHER], "range": ["var(--s1)", "var(--s2)"]})
    probes = [row for row in rows if row["kind"] == OTHER]
    shown = _tooltip(("name", "", ""), ("value", "value", ".3f"), ("low", "from", ".3f"), ("high", "to", ".3f"))
    layers = [
        _reference(probes, {"x": horizontal}, "rule"),
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
            "encoding": {"x": horizontal | {"field": "high"}, "y": vertical, "text": _field("value", format=".3f")},
        },
    ]
    alt = (
        "Balanced accuracy with intervals of each model, and of probes that see no lungs; the tables have the numbers."
    )
    return Chart("chart-accuracy", _spec(rows, layers, 34 * len(rows)), "Models and probes on one axis", alt)


def _network_row(model: ModelReport) -> Json:
    return _row(name_of(model), NETWORK, model.metrics.balanced_accuracy)


def _probe_rows(report: Report) -> list[Json]:
    found = report.baselines
    probes = (
        ("source collection only", Interval(found.source)),
        ("overall grey only", found.appearance),
        ("frame only", found.border),
        ("chance", Interval(report.chance)),
    )
    return [_row(words, OTHER, figure) for words, figure in probes if figure.value is not None]


def _row(name: str, kind: str, found: Interval) -> Json:
    low, high = (found.value if end is None else end for end in (found.low, found.high))
    return {"name": name, "kind": kind, "value": found.value, "low": low, "high": high}


def perturbation_chart(place: str, found: Sequence[Perturbed]) -> Chart:
    """Return bars of what each change costs."""
    bars = {
        "mark": {"type": "bar", "color": "var(--s1)", "cornerRadiusEnd": 2},
        "encoding": {
            "y": _field("text", kind="nominal", sort=None, axis={"ticks": False, "domain": False}),
            "x": _field("change", "difference of balanced accuracy"),
            "tooltip": _tooltip(
                ("text", "", ""), ("change", "difference", "+.3f"), ("flips", "answers that change", ".3f")
            ),
        },
    }
    alt = "Bars of the difference of balanced accuracy for each change to the images; the table above has the numbers."
    drawn = _spec(as_json(found), [bars], 22 * len(found))
    return Chart(f"{place}-chart-robustness", drawn, "What each change costs", alt)


def shuffle_chart(place: str, shuffled: Sequence[Shuffled]) -> Chart:
    """Return what is left when the image is cut into patches and these are shuffled."""
    rows = [as_json(one) | {"patches": f"{one.grid} by {one.grid}"} for one in shuffled]
    across = _field("patches", "patches, shuffled", "nominal", sort=None, axis={"labelAngle": 0})
    shown = _tooltip(("patches", "patches", ""), ("balanced_accuracy", "balanced accuracy", ".3f"))
    layer = _texture_line(across, shown, "var(--s1)")
    alt = "Balanced accuracy when the image is cut into patches and these are shuffled."
    return Chart(f"{place}-chart-shuffle", _spec(rows, [layer], 190), "Patches shuffled", alt)


def frequencies_chart(place: str, filtered: Sequence[Filtered]) -> Chart:
    """Return what is left with low or high frequencies only."""
    kinds = list(dict.fromkeys(one.kind for one in filtered))
    shown = _tooltip(("kind", "kept", ""), ("cut", "cut", ".3f"), ("balanced_accuracy", "balanced accuracy", ".3f"))
    layer = _texture_line(_axis("cut", "cut-off frequency"), shown, None)
    layer["encoding"]["color"] = _colour("kind", kinds)
    alt = "Balanced accuracy when only frequencies below or above a cut-off are kept."
    name = f"{place}-chart-frequencies"
    return Chart(name, _spec(as_json(filtered), [layer], 190), "Low or high frequencies only", alt)


def _texture_line(across: Json, shown: list[Json], shade: str | None) -> Json:
    mark: Json = {"type": "line", "point": {"filled": True, "size": 50}} | ({"color": shade} if shade else {})
    up = _axis("balanced_accuracy", "balanced accuracy", UNIT)
    if shade:
        mark["point"] |= {"color": shade}
    return {"mark": mark, "encoding": {"x": across, "y": up, "tooltip": shown}}
