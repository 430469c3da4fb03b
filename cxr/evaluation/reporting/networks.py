"""Sections on the networks side by side: figures, classes, comparisons, errors."""

from cxr.core.files import JsonObject
from cxr.evaluation.reporting.charts import (
    accuracy_chart,
    distribution_charts,
    learning_charts,
    precision_chart,
    reliability_charts,
    roc_chart,
)
from cxr.evaluation.reporting.document import (
    Block,
    Cell,
    Fixed,
    Fold,
    Gallery,
    Grid,
    Heading,
    Paragraph,
    Picture,
    Pictures,
    Piece,
    Printed,
    Row,
    Section,
    Table,
    as_percent,
    count,
    interval,
    missing,
    name_of,
    not_measured,
    number,
    ordered,
    p_value,
    slug,
    stamp_of,
    table,
    text,
    worst_source,
)


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


def learning_section(report: JsonObject) -> Section:
    """Learning curves that answer to pointer and legend."""
    rows = report.get("learning_curves") or []
    if not rows:
        return Section("learning", "Learning curves", [not_measured("Learning curves")])
    words = "Point at an epoch to read all models; click a model in the legend to show it alone, shift-click for more."
    return Section("learning", "Learning curves", [Paragraph((words,)), Grid(tuple(learning_charts(rows)))])


def comparisons_section(report: JsonObject) -> Section:
    """Each pair of models on the same images."""
    pairs = report.get("comparisons") or []
    title = "Do the models differ?"
    if not pairs:
        return Section("comparisons", title, [not_measured("Comparisons", "one model, or too few images")])
    words = (
        "All on the same test images. p is that of the exact McNemar test, corrected for the number of pairs after "
        "Holm; a pair that is not told apart is not shown to be equal. The smallest gap is the one that these "
        "images could have shown, given on how many the two disagree."
    )
    blocks: list[Block] = [Paragraph((words,)), _answers(pairs), _others(pairs)]
    return Section("comparisons", title, blocks)


def _answers(pairs: list[JsonObject]) -> Table:
    header = [
        "first, second",
        "gap of accuracy",
        "only first right",
        "only second",
        "p",
        "p, Holm",
        "smallest gap",
        "in points",
    ]
    rows = [
        [
            _pair(one),
            interval(one.get("accuracy_gap"), sign=True),
            count(one.get("only_a_right")),
            count(one.get("only_b_right")),
            p_value(one.get("p")),
            p_value(one.get("p_holm")),
            count(one.get("detectable_gap_images")),
            number(one.get("detectable_gap_points")),
        ]
        for one in pairs
    ]
    return table("Right answers", header, rows, ("The smallest gap in images, and in percentage points.",))


def _others(pairs: list[JsonObject]) -> Table:
    header = ["first, second", "gap of macro AUC", "p of AUC, DeLong", "p, Holm", "gap of log loss"]
    rows = [
        [
            _pair(one),
            interval(one.get("auc_gap"), sign=True),
            p_value(one.get("auc_p")),
            p_value(one.get("auc_p_holm")),
            interval(one.get("log_loss_gap"), sign=True),
        ]
        for one in pairs
    ]
    return table("Probabilities", header, rows, ("DeLong's test is of the AUC of the target class.",))


def _pair(one: JsonObject) -> Cell:
    return text(f"{one['a']}, {one['b']}")


WORDS = (
    "Wrong answers the model was surest of, and for each class images of middling probability. Beside each image its "
    "Grad-CAM heat map for the answer given, stamped with what the map is worth."
)


def errors_section(report: JsonObject, pictures: Pictures) -> Section:
    """Galleries of all models, that of the screening model open."""
    folds = []
    for model in ordered(report["models"]):
        place = f"{slug(model['name'])}-gallery"
        folds.append(
            Fold(place, (name_of(model),), tuple(_galleries(model, place, pictures)), bool(model.get("screening")))
        )
    return Section("errors", "The surest errors, and examples", [Paragraph((WORDS,)), *folds])


def _galleries(model: JsonObject, place: str, pictures: Pictures) -> list[Block]:
    blocks: list[Block] = []
    for key, title in (("errors", "Surest errors"), ("examples", "Examples")):
        entries = model.get(key)
        blocks.append(Heading(f"{place}-{key}", title, 4))
        if entries is None:
            blocks.append(not_measured(title))
        elif entries:
            blocks.append(Gallery(tuple(_picture(model, entry, pictures) for entry in entries)))
        else:
            blocks.append(Paragraph(("None.",)))
    return blocks


def _picture(model: JsonObject, entry: JsonObject, pictures: Pictures) -> Picture:
    image, overlay = pictures.get((model["name"], entry["file"]), (b"", b""))
    probability: list[Piece] = ["probability ", *number(entry["probability"]).pieces]
    if entry.get("loss") is not None:
        probability += [", loss ", *number(entry["loss"], 2).pieces]
    right = entry["actual"] == entry["predicted"]
    answer = f"{entry['actual']}, recognised" if right else f"{entry['actual']} called {entry['predicted']}"
    return Picture(
        image or None,
        overlay or None,
        f"Chest radiograph {entry['file']}: {answer}",
        stamp_of(model),
        bool((model.get("cam") or {}).get("void")),
        ((answer,), tuple(probability), (entry["file"],)),
    )
