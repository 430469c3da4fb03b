"""Sections on the networks side by side: figures, classes, comparisons, errors."""

from collections.abc import Iterator, Sequence

from cxr.evaluation.audits.subgroups import worst_source
from cxr.evaluation.records import ModelReport, Report, ShownImage
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
    change,
    count,
    interval,
    missing,
    name_of,
    not_measured,
    number,
    ordered,
    p_value,
    printed,
    slug,
    stamp_of,
    table,
    text,
)
from cxr.evaluation.reporting.format import NUMBER, PERCENT, Notation
from cxr.evaluation.stats.calibration import CalibrationByTemperature, CalibrationErrors, TestedCalibration
from cxr.evaluation.stats.classification import ClassMetrics
from cxr.evaluation.stats.comparison import Comparison


def models_section(report: Report) -> Section:
    """Chart and tables of all models."""
    models = ordered(report.models)
    chosen = next(model for model in models if model.screening)
    blocks: list[Block] = [
        _measures(models),
        class_table(chosen.classes, f"{chosen.name}, class by class"),
        _shortcuts(models),
        accuracy_chart(report),
        Fold("models-made", ("How they were made",), (_made(models),)),
    ]
    return Section("models", "Accuracy on the test images", blocks)


def _measures(models: Sequence[ModelReport]) -> Table:
    header = ["model", "balanced accuracy", "accuracy", "macro AUC", "log loss", "ECE (band)"]
    rows = [
        [
            text(name_of(model)),
            interval(model.metrics.balanced_accuracy),
            interval(model.metrics.accuracy),
            interval(model.metrics.macro_auc),
            interval(model.metrics.log_loss),
            _calibration_cell(model.calibration.after),
        ]
        for model in models
    ]
    notes: tuple[Piece, ...] = (
        "Square brackets hold ",
        Fixed("95 %"),
        " intervals. Intervals of two networks may overlap although they differ: see the comparisons. Behind the "
        "calibration error (ECE) stands the band that a perfectly calibrated network would show on these images.",
    )
    return table("All networks, after calibration", header, rows, notes)


def _calibration_cell(after: TestedCalibration) -> Cell:
    """Return the error of calibration, and in brackets the band that a calibrated model would show."""
    if after.null_low is None or after.null_high is None:
        return number(after.ece15)
    band = (" (", printed(after.null_low), " to ", printed(after.null_high), ")")
    return Cell((*number(after.ece15).pieces, *band), "number")


def _shortcuts(models: Sequence[ModelReport]) -> Table:
    header = ["model", "over overall grey", "over the frame alone", "lung dependence", "worst source", "its recall"]
    rows = []
    for model in models:
        worst = worst_source(model.sources)
        rows.append(
            [
                text(name_of(model)),
                change(model.gain.over_appearance),
                change(model.gain.over_border),
                number(model.dependence.lung_dependence),
                text(worst.source if worst else None),
                interval(worst.recall if worst else None),
            ]
        )
    note = (
        "Differences of balanced accuracy to a random forest that sees overall grey, or the frame, alone. Lung "
        "dependence: the part of the accuracy above chance that is lost when the lungs are blacked out."
    )
    return table("How much of it may be a shortcut", header, rows, (note,))


def _made(models: Sequence[ModelReport]) -> Table:
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
            text(model.initialisation),
            count(model.parameters),
            number(model.gflop),
            *(missing("none") if model.members else count(epoch) for epoch in (model.epochs, model.best_epoch)),
            number(model.validation_log_loss),
            count(model.n),
        ]
        for model in models
    ]
    note = "The screening model is chosen on validation, or by name. An ensemble averages the logits of its members."
    return table("How they were made", header, rows, (note,))


LR_MINUS = "LR\N{MINUS SIGN}"
SMALL = 30  # images; a share of fewer says little


def class_blocks(model: ModelReport) -> list[Block]:
    """Confusion matrix, and figures of each class; of the network that screens, the first of them stand above."""
    if model.screening:
        return [confusion_table(model), predictive_table(model.classes)]
    return [confusion_table(model), class_table(model.classes)]


def class_table(classes: Sequence[ClassMetrics], caption: str = "One class against the others") -> Table:
    """Return sensitivity, specificity and the like of each class against the others."""
    header = ["class", "images", "sensitivity", "specificity", "AUC", "LR+", LR_MINUS, "F-score"]
    rows = [
        _row(
            one,
            *map(interval, (one.sensitivity, one.specificity, one.auc)),
            _ratio(one.lr_plus, _likelihood(one.lr_plus)),
            *map(_ratio, (one.lr_minus, one.f1)),
        )
        for one in classes
    ]
    return table(caption, header, rows)


def predictive_table(classes: Sequence[ClassMetrics]) -> Table:
    """Return the predictive values of each class at the class shares of the test split."""
    rows = [_row(one, interval(one.ppv), interval(one.npv)) for one in classes]
    note = "Where the disease is rarer, see the operating points."
    return table(
        "Predictive values, at the class shares of the test split", ["class", "images", "PPV", "NPV"], rows, (note,)
    )


def _row(one: ClassMetrics, *cells: Cell) -> Row:
    return Row((text(one.name), count(one.n), *cells), grey=one.n < SMALL)


def _ratio(value: float | None, notation: Notation = NUMBER) -> Cell:
    """A ratio, which has no value where nothing stands below the line."""
    return missing("undefined") if value is None else number(value, notation)


def _likelihood(value: float | None) -> Notation:
    """Return how a likelihood ratio of 1 or more is written: with three digits, for it is known to no more."""
    whole = len(str(int(value or 0)))
    return Notation(max(3 - whole, 0))


def confusion_table(model: ModelReport) -> Table:
    """Return the counts, shaded by their share of the true class."""
    names = [one.name for one in model.classes]
    rows = [
        [text(name), *map(_confused, counts, shares)]
        for name, counts, shares in zip(names, model.confusion, model.confusion_rows, strict=True)
    ]
    return table("Confusion: rows are the truth, columns the answer", ["truth", *names], rows)


def _confused(images: int, share: float | None) -> Cell:
    words: list[Piece] = [Printed(images, f"{images:,}")]
    if share is not None:
        words += [" (", printed(share, PERCENT), ")"]
    return Cell(tuple(words), "number", share)


def curve_blocks(model: ModelReport, place: str) -> list[Block]:
    """ROC and precision against recall, one line for each class."""
    if not model.roc or not model.pr:
        return [not_measured("ROC and precision curves")]
    return [Grid((roc_chart(place, model.roc), precision_chart(place, model.pr)))]


def distribution_blocks(model: ModelReport, place: str) -> list[Block]:
    """How the probability of each class is spread over the images of each true class."""
    return [Grid(tuple(distribution_charts(place, model.distributions)))]


def calibration_blocks(model: ModelReport, place: str) -> list[Block]:
    """Before and after the temperature, and reliability."""
    found = model.calibration
    verdict = calibration_paragraph(found.temperature, found.after, found.distinguishable)
    return [verdict, _calibration(found), Grid(tuple(reliability_charts(place, found)))]


def calibration_paragraph(temperature: float | None, after: TestedCalibration, distinguishable: bool) -> Paragraph:
    """The temperature, and whether the error that remains is more than chance."""
    words = (
        "That is larger than chance explains: on the test split the probabilities are not calibrated."
        if distinguishable
        else "That is no larger than a perfectly calibrated network would show."
    )
    left = "The calibration error that remains (ECE, fifteen bins) is "
    divided = ("Logits are divided by the temperature ", *number(temperature).pieces, ", fitted on validation. ")
    return Paragraph((*divided, left, *number(after.ece15).pieces, ". ", words))


def _calibration(found: CalibrationByTemperature) -> Table:
    def errors(part: CalibrationErrors) -> list[Cell]:
        return list(map(number, (part.log_loss, part.brier, part.ece10, part.ece15)))

    after = found.after
    rows = [
        [text("before"), *errors(found.before), *[Cell(("",))] * 3],
        [text("after"), *errors(after), number(after.null_low), number(after.null_high), p_value(after.p)],
    ]
    header = ["temperature", "log loss", "Brier", "ECE, ten bins", "ECE, fifteen bins", "band from", "to", "p"]
    return table("Before and after calibration", header, rows)


def learning_section(report: Report) -> Section:
    """Learning curves that answer to pointer and legend."""
    if not report.learning_curves:
        return Section("learning", "Learning curves", [not_measured("Learning curves")])
    words = "Point at an epoch to read all models; click a model in the legend to show it alone, shift-click for more."
    charts = Grid(tuple(learning_charts(report.learning_curves)))
    return Section("learning", "Learning curves", [Paragraph((words,)), charts])


def comparisons_section(report: Report) -> Section:
    """Each pair of models on the same images."""
    pairs = report.comparisons
    title = "Do the models differ?"
    if not pairs:
        return Section("comparisons", title, [not_measured("Comparisons", "one model, or too few images")])
    words = (
        "On the same test images, by the exact McNemar test with Holm's correction. A large p does not show that two "
        "networks are equal: a gap smaller than the smallest in the table could not have been seen."
    )
    others = Fold("comparisons-probabilities", ("Gaps of probabilities",), (_others(pairs),))
    return Section("comparisons", title, [Paragraph((words,)), _answers(pairs), others])


def _answers(pairs: Sequence[Comparison]) -> Table:
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
            change(one.accuracy_gap),
            count(one.only_a_right),
            count(one.only_b_right),
            p_value(one.p),
            p_value(one.p_holm),
            count(one.detectable_gap_images),
            number(one.detectable_gap_points),
        ]
        for one in pairs
    ]
    return table("Right answers", header, rows, ("The smallest gap in images, and in percentage points.",))


def _others(pairs: Sequence[Comparison]) -> Table:
    header = ["first, second", "gap of macro AUC", "p of AUC, DeLong", "p, Holm", "gap of log loss"]
    rows = [
        [_pair(one), change(one.auc_gap), p_value(one.auc_p), p_value(one.auc_p_holm), change(one.log_loss_gap)]
        for one in pairs
    ]
    return table("Probabilities", header, rows, ("DeLong's test is of the AUC of the target class.",))


def _pair(one: Comparison) -> Cell:
    return text(f"{one.a}, {one.b}")


WORDS = (
    "The wrong answers with the highest probability, and of each class images of median probability. Beside each its "
    "Grad-CAM heat map for the answer."
)


def errors_section(report: Report, pictures: Pictures) -> Section:
    """Galleries of all models, that of the screening model open."""
    folds = []
    for model in ordered(report.models):
        place = f"{slug(model.name)}-gallery"
        folds.append(Fold(place, (name_of(model),), tuple(_galleries(model, place, pictures)), model.screening))
    return Section("errors", "Errors and examples", [Paragraph((WORDS,)), *folds])


def _galleries(model: ModelReport, place: str, pictures: Pictures) -> Iterator[Block]:
    for key, title, shown in (("errors", "Surest errors", model.errors), ("examples", "Examples", model.examples)):
        yield Heading(f"{place}-{key}", title, 4)
        if shown:
            yield Gallery(tuple(_picture(model, one, pictures) for one in shown))
        else:
            yield Paragraph(("None.",))


def _picture(model: ModelReport, shown: ShownImage, pictures: Pictures) -> Picture:
    image, overlay = pictures.get((model.name, shown.file), (b"", b""))
    probability: list[Piece] = ["probability ", printed(shown.probability)]
    if shown.loss is not None:
        probability += [", loss ", printed(shown.loss, Notation(2))]
    right = shown.actual == shown.predicted
    answer = f"{shown.actual}, recognised" if right else f"{shown.actual} called {shown.predicted}"
    return Picture(
        image or None,
        overlay or None,
        f"Chest radiograph {shown.file}: {answer}",
        stamp_of(model.cam),
        bool(model.cam.void),
        ((answer,), tuple(probability), (shown.file,)),
    )
