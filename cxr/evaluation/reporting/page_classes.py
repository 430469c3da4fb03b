"""One model: classes, confusion, curves, distributions, calibration."""

from cxr.evaluation.reporting.blocks import Block, Cell, Grid, Paragraph, Row, Table
from cxr.evaluation.reporting.cells import (
    as_percent,
    count,
    interval,
    missing,
    not_measured,
    number,
    p_value,
    table,
    text,
)
from cxr.evaluation.reporting.charts_calibration import reliability_charts
from cxr.evaluation.reporting.charts_curves import distribution_charts, precision_chart, roc_chart
from cxr.evaluation.reporting.pieces import Piece, Printed
from cxr.files import JsonObject

LR_MINUS = "LR\N{MINUS SIGN}"
SMALL = 30  # images; a share of fewer says little


def class_blocks(model: JsonObject, _place: str) -> list[Block]:
    """Table of the classes and confusion matrix."""
    classes = model.get("classes") or []
    if not classes:
        return [not_measured("Figures by class"), not_measured("Confusion matrix")]
    confusion = _confusion(model) if model.get("confusion") else not_measured("Confusion matrix")
    return [class_table(classes), confusion, predictive_table(classes)]


def class_table(classes: list[JsonObject]) -> Table:
    """Return sensitivity, specificity and the like of each class against the others."""
    header = ["class", "images", "sensitivity", "specificity", "AUC", "LR+", LR_MINUS, "F-score"]
    rows = [
        _row(one, *_intervals(one, "sensitivity", "specificity", "auc"), *_plain(one, "lr_plus", "lr_minus", "f1"))
        for one in classes
    ]
    return table("One class against the others", header, rows)


def predictive_table(classes: list[JsonObject]) -> Table:
    """Return the predictive values of each class at the class shares of the test split."""
    rows = [_row(one, *_intervals(one, "ppv", "npv")) for one in classes]
    note = "The operating points have them where the disease is rarer."
    return table(
        "Predictive values, at the class shares of the test split", ["class", "images", "PPV", "NPV"], rows, (note,)
    )


def _row(one: JsonObject, *cells: Cell) -> Row:
    return Row((text(one["name"]), count(one["n"]), *cells), grey=one["n"] < SMALL)


def _intervals(one: JsonObject, *names: str) -> list[Cell]:
    return [interval(one.get(name)) for name in names]


def _plain(one: JsonObject, *names: str) -> list[Cell]:
    """Return ratios, which have no value where nothing stands below the line."""
    return [missing("undefined") if one.get(name) is None else number(one[name]) for name in names]


def _confusion(model: JsonObject) -> Table:
    names, counts = [one["name"] for one in model["classes"]], model["confusion"]
    shares = model.get("confusion_rows") or [[None] * len(row) for row in counts]
    rows = [
        [text(name), *map(_confused, row, row_shares)]
        for name, row, row_shares in zip(names, counts, shares, strict=True)
    ]
    return table("Confusion: rows are the truth, columns the answer", ["truth", *names], rows)


def _confused(images: int, share: float | None) -> Cell:
    words: list[Piece] = [Printed(images, f"{images:,}")]
    if share is not None:
        words += [" (", as_percent(share), ")"]
    return Cell(tuple(words), "number", share)


def curve_blocks(model: JsonObject, place: str) -> list[Block]:
    """ROC and precision against recall, one line for each class."""
    roc, pr = model.get("roc"), model.get("pr")
    if not roc or not pr:
        return [not_measured("ROC and precision curves")]
    return [Grid((roc_chart(place, roc), precision_chart(place, pr)))]


def distribution_blocks(model: JsonObject, place: str) -> list[Block]:
    """How the probability of each class is spread over the images of each true class."""
    if not model.get("distributions"):
        return [not_measured("Distributions of the probabilities")]
    return [Grid(tuple(distribution_charts(place, model["distributions"])))]


def calibration_blocks(model: JsonObject, place: str) -> list[Block]:
    """Before and after the temperature, and reliability."""
    calibration = model.get("calibration")
    if not calibration:
        return [not_measured("Calibration")]
    blocks: list[Block] = [_verdict(calibration), _calibration(calibration)]
    charts = reliability_charts(place, calibration)
    return [*blocks, Grid(tuple(charts))] if charts else [*blocks, not_measured("Reliability")]


def _verdict(calibration: JsonObject) -> Paragraph:
    temperature = number(calibration.get("temperature")).pieces
    words = {
        True: "What remains is more than chance: the probabilities are not calibrated.",
        False: "What remains cannot be told apart from that of a perfectly calibrated model.",
    }
    found = words.get(calibration.get("distinguishable"), "Whether it helped was not measured.")  # type: ignore[arg-type]
    return Paragraph(("Logits are divided by the temperature ", *temperature, ", fitted on validation. ", found))


def _calibration(calibration: JsonObject) -> Table:
    rows = []
    for name in ("before", "after"):
        part = calibration.get(name) or {}
        cells = [number(part.get(key)) for key in ("log_loss", "brier", "ece10", "ece15", "null_low", "null_high")]
        blank = Cell(("",))
        rows.append([text(name), *(cells if name == "after" else [*cells[:4], blank, blank])])
        rows[-1].append(p_value(part.get("p")) if name == "after" else blank)
    header = ["temperature", "log loss", "Brier", "ECE, ten bins", "ECE, fifteen bins", "band from", "to", "p"]
    return table("Before and after calibration", header, rows)
