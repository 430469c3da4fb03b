"""The models side by side, on one axis with what needs no lungs at all."""

from cxr.evaluation.flat import worst_source
from cxr.evaluation.reporting.blocks import Block, Cell, Paragraph, Section, Table
from cxr.evaluation.reporting.cells import count, interval, missing, number, table, text
from cxr.evaluation.reporting.charts_models import accuracy_chart
from cxr.evaluation.reporting.page_names import name_of, ordered
from cxr.evaluation.reporting.pieces import Fixed
from cxr.files import JsonObject


def models_section(report: JsonObject) -> Section:
    """Chart and tables of all models."""
    models = report["models"]
    blocks: list[Block] = [
        Paragraph(
            (
                "Square brackets hold ",
                Fixed("95 %"),
                " intervals: Wilson for shares, else a bootstrap that resamples patients and duplicates together. "
                "Two models whose intervals overlap may still differ, and the other way round: see the comparisons.",
            )
        ),
        accuracy_chart(report),
        _measures(models),
        _shortcuts(models),
        _made(models),
    ]
    return Section("models", "The models side by side", blocks)


def _measures(models: list[JsonObject]) -> Table:
    header = ["model", "balanced accuracy", "accuracy", "macro AUC", "log loss", "Brier", "ECE (band)"]
    rows = []
    for model in ordered(models):
        metrics = model.get("metrics") or {}
        names = ("balanced_accuracy", "accuracy", "macro_auc", "log_loss", "brier")
        rows.append(
            [
                text(name_of(model)),
                *(interval(metrics.get(name)) for name in names),
                calibration_cell(model),
            ]
        )
    note = "In brackets the band in which a perfectly calibrated model would fall on these images."
    return table("On the test split, after calibration", header, rows, (note,))


def calibration_cell(model: JsonObject) -> Cell:
    """Return the error of calibration, and in brackets the band that a calibrated model would show."""
    after = (model.get("calibration") or {}).get("after") or {}
    low, high = after.get("null_low"), after.get("null_high")
    if low is None or high is None:
        return number(after.get("ece15"))
    found = (*number(after.get("ece15")).pieces, " (", *number(low).pieces, " to ", *number(high).pieces, ")")
    return Cell(found, "number")


def _shortcuts(models: list[JsonObject]) -> Table:
    header = ["model", "above overall grey", "above the frame alone", "lung dependence", "worst source", "its recall"]
    rows = []
    for model in ordered(models):
        lift, worst = model.get("lift") or {}, worst_source(model)
        rows.append(
            [
                text(name_of(model)),
                interval(lift.get("over_floor"), sign=True),
                interval(lift.get("over_frame"), sign=True),
                number((model.get("dependence") or {}).get("lung_dependence")),
                text(worst["source"] if worst else None),
                interval(worst["recall"] if worst else None),
            ]
        )
    note = (
        "Differences of balanced accuracy. Lung dependence: the part of what stands above chance that is lost when the "
        "lungs are blacked out."
    )
    return table("How much of it may be a shortcut", header, rows, (note,))


def _made(models: list[JsonObject]) -> Table:
    header = [
        "model",
        "initialisation",
        "weights",
        "GFLOP an image",
        "epochs",
        "best epoch",
        "validation log loss",
        "test images",
    ]
    rows = [
        [
            text(name_of(model)),
            text(model.get("initialisation")),
            count(model.get("parameters")),
            number(model.get("gflop")),
            _epoch(model, "epochs"),
            _epoch(model, "best_epoch"),
            number(model.get("validation_log_loss")),
            count(model.get("n")),
        ]
        for model in ordered(models)
    ]
    note = "The screening model is chosen on validation, or by name. An ensemble averages the logits of its members."
    return table("How they were made", header, rows, (note,))


def _epoch(model: JsonObject, key: str) -> Cell:
    return missing("none") if model.get("members") else count(model.get(key))
