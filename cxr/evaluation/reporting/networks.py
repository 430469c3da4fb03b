"""Sections on the networks: side by side figures, classes, comparisons, errors; of each its decisions and shortcuts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cxr.evaluation.audits.attention import Enrichment
from cxr.evaluation.audits.perturbations import BOX, MASKS, PREDICTED, Perturbed
from cxr.evaluation.audits.subgroups import HEAD_REFITTED, HeldOutSource, worst_source
from cxr.evaluation.records import ModelReport, Report, ShownImage
from cxr.evaluation.reporting.charts import (
    accuracy_chart,
    decision_chart,
    distribution_charts,
    frequencies_chart,
    learning_charts,
    perturbation_chart,
    precision_chart,
    reliability_charts,
    risk_chart,
    roc_chart,
    shuffle_chart,
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
    interval_pieces,
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
from cxr.evaluation.stats.calibration import CalibrationByTemperature, CalibrationErrors, TestedCalibration
from cxr.evaluation.stats.classification import ClassMetrics, Comparison
from cxr.evaluation.stats.decisions import (
    Answering,
    MeasuredPoint,
    PredictionSets,
    ReasonedOutcomes,
    Referral,
    SelectiveRisk,
)
from cxr.evaluation.stats.intervals import CHANGE, FINE_NUMBER, HUNDREDTHS, NUMBER, PERCENT, Interval, Notation


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
        " intervals.",
        " Intervals of two networks may overlap although they differ: see the comparisons." if len(models) > 1 else "",
        " Behind the calibration error (ECE) stands the band that a perfectly calibrated network would show on these "
        "images.",
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
    note = "The screening model is chosen on validation, or by name."
    if any(model.members for model in models):
        note += " An ensemble averages the logits of its members."
    return table("What they started from and cost", header, rows, (note,))


LR_MINUS = "LR\N{MINUS SIGN}"
SMALL = 30  # images; a share of fewer says little


def _class_blocks(model: ModelReport) -> list[Block]:
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


def _curve_blocks(model: ModelReport, place: str) -> list[Block]:
    """ROC and precision against recall, one line for each class."""
    if not model.roc or not model.pr:
        return [not_measured("ROC and precision curves")]
    return [Grid((roc_chart(place, model.roc), precision_chart(place, model.pr)))]


def _distribution_blocks(model: ModelReport, place: str) -> list[Block]:
    """How the probability of each class is spread over the images of each true class."""
    return [Grid(tuple(distribution_charts(place, model.distributions)))]


def _calibration_blocks(model: ModelReport, place: str) -> list[Block]:
    """Before and after the temperature, and reliability."""
    found = model.calibration
    verdict = calibration_paragraph(found.temperature, found.after, found.distinguishable, model.decided_on)
    return [verdict, _calibration(found), Grid(tuple(reliability_charts(place, found)))]


def calibration_paragraph(
    temperature: float | None, after: TestedCalibration, distinguishable: bool, on: str
) -> Paragraph:
    """The temperature, and whether the error that remains is more than chance."""
    words = (
        "That is larger than chance explains: on the test split the probabilities are not calibrated."
        if distinguishable
        else "That is no larger than a perfectly calibrated network would show."
    )
    left = "The calibration error that remains (ECE, fifteen bins) is "
    divided = ("Logits are divided by the temperature ", *number(temperature).pieces, f", fitted on {on}. ")
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


def point_blocks(points: Sequence[MeasuredPoint]) -> list[Block]:
    """Thresholds that were frozen before, and what they mean where the disease is rarer."""
    header = [
        "operating point",
        "threshold",
        "aim",
        "sensitivity there",
        "specificity there",
        "test sensitivity",
        "test specificity",
    ]
    rows = [
        [
            text(point.name),
            number(point.threshold, FINE_NUMBER),
            text(point.aim),
            number(point.chosen_sensitivity),
            number(point.chosen_specificity),
            interval(point.sensitivity),
            interval(point.specificity),
        ]
        for point in points
    ]
    caption = "Chosen on what the aim names, only applied to the test split"
    return [table(caption, header, rows), _prevalence(points)]


def _prevalence(points: Sequence[MeasuredPoint]) -> Table:
    rows = [
        [text(point.name), number(one.prevalence, HUNDREDTHS), number(one.ppv), number(one.npv)]
        for point in points
        for one in point.by_prevalence
    ]
    caption = "Predictive values where the disease is rarer, from test sensitivity and specificity"
    return table(caption, ["operating point", "prevalence", "PPV", "NPV"], rows)


def _decision_curve_blocks(model: ModelReport, place: str) -> list[Block]:
    """Net benefit against treating all or none (Vickers and Elkin 2006)."""
    return [decision_chart(place, model.decision_curve)]


def _abstention_blocks(model: ModelReport, place: str) -> list[Block]:
    """Error by coverage, and prediction sets."""
    sets = model.conformal
    return [
        referred_paragraph(sets.referred),
        _coverage(sets),
        _sizes(sets.sizes),
        risk_chart(place, model.selective.curve),
        _selective(model.selective),
    ]


def referred_paragraph(found: Referral) -> Paragraph:
    """Say how much is referred, and how many errors are in it."""
    pieces: list[Piece] = ["Referred (prediction set empty or of several classes): "]
    pieces += [*interval(found.share).pieces, " of the images. Errors among them: "]
    pieces += [*count(found.errors_referred).pieces, " of ", *count(found.errors).pieces]
    if found.share_of_errors_referred:
        pieces += [" (", *interval_pieces(found.share_of_errors_referred), ")"]
    if found.error_answered is not None:
        pieces += [". Of what is answered, ", *interval(found.error_answered).pieces, " is wrong"]
    pieces.append(". This holds only for images like those that the sets were fitted on.")
    return Paragraph(tuple(pieces))


def _coverage(sets: PredictionSets) -> Table:
    rows = [Row((text(one.name), count(one.n), interval(one.coverage)), grey=one.n < SMALL) for one in sets.by_class]
    notes: tuple[Piece, ...] = ("Allowed to miss: ", *number(sets.alpha, HUNDREDTHS).pieces, " of each class.")
    return table("Prediction sets: how often they hold the true class", ["class", "images", "coverage"], rows, notes)


def _sizes(sizes: Mapping[str, int]) -> Table:
    names = {"0": "none", "1": "one", "2": "two", "3": "three"}
    rows = [[text(names.get(size, f"{size} classes")), count(images)] for size, images in sizes.items()]
    return table("Classes in the prediction set", ["classes", "images"], rows)


def _selective(found: SelectiveRisk) -> Table:
    rows = [[number(one.coverage, HUNDREDTHS), number(one.risk), number(one.threshold)] for one in found.at]
    notes: tuple[Piece, ...] = (
        "Area under the curve ",
        *number(found.aurc).pieces,
        "; generalised (Traub et al.) ",
        *number(found.augrc).pieces,
        ".",
    )
    return table("Error if only the surest are answered", ["answered", "error", "least confidence"], rows, notes)


def answering_blocks(answering: Answering) -> list[Block]:
    """What becomes of the test images as cxr-batch decides and by prediction sets alone, and for which reasons."""
    return [_outcomes(answering), _reasons(answering.gated)]


def _outcomes(answering: Answering) -> Table:
    gated, ungated = answering.gated, answering.ungated
    shares = (
        ("rejected: no answer", gated.rejected, ungated.rejected),
        ("referred to a reader", gated.referred, ungated.referred),
        ("answered", gated.answered, ungated.answered),
        ("wrong among what is answered", gated.error_answered, ungated.error_answered),
        ("all errors, how many are referred", gated.share_of_errors_referred, ungated.share_of_errors_referred),
        ("all errors, how many are rejected", gated.share_of_errors_rejected, ungated.share_of_errors_rejected),
        ("the target class, how much is answered as not suspected", gated.missed, ungated.missed),
    )
    rows = [[text(words), *map(interval, both)] for words, *both in shares]
    rows.append([text("errors, images"), count(gated.errors), count(ungated.errors)])
    note = "At the default operating point. An error is a most probable class that is not the truth."
    header = ["test images", "as cxr-batch decides", "prediction sets alone"]
    return table("Rejected, referred, answered", header, rows, (note,))


def _reasons(gated: ReasonedOutcomes) -> Table:
    rows = [
        *_rows("rejected", gated.rejected_by),
        *_rows("referred", gated.referred_by),
        *_rows("marked", gated.flags),
    ]
    note = (
        "Reasons that did not occur are left out. An image is rejected or referred for one reason, and may have "
        "several marks."
    )
    return table("For which reasons", ["what", "reason", "share of the images"], rows, (note,))


def _rows(what: str, shares: Mapping[str, Interval]) -> list[list[Cell]]:
    return [[text(what), text(reason), interval(share)] for reason, share in shares.items() if share.value]


REGIONS = {
    MASKS: "the lung masks of the data",
    PREDICTED: "those that the lung segmenter finds, because not every image has a mask",
    BOX: "a fixed box, because there are no lung masks",
}
GROUPS = {"children_adults": "children and adults"}


def _subgroup_blocks(model: ModelReport) -> list[Block]:
    """Sensitivity in the groups that the database knows."""
    if not model.subgroups:
        return [not_measured("Subgroups")]
    rows = [
        Row(
            (
                text(GROUPS.get(one.group, one.group)),
                text(one.value),
                text(one.label or "all classes"),
                count(one.n),
                interval(one.sensitivity),
            ),
            grey=one.small,
        )
        for one in model.subgroups
    ]
    note = "Grey: fewer than thirty images. Age, sex and severity are not read."
    return [table("By group", ["group", "value", "true class", "images", "sensitivity"], rows, (note,))]


HEAD_WORDS = (
    "Head refitted: plain logistic regression on the network's features takes the place of its last layer, fitted with "
    "and without the source. Both recalls are those of the regression and not the network's own, and the layers before "
    "have seen every source."
)


def source_blocks(sources: Sequence[HeldOutSource]) -> list[Block]:
    """Recall on each source if training had not seen it."""
    if not sources:
        return [not_measured("Recall on sources left out")]
    rows = [
        Row(
            (text(one.source), count(one.n), interval(one.recall), interval(one.recall_in_training), text(one.how)),
            grey=one.small,
        )
        for one in sources
    ]
    header = ["source", "images", "recall, left out", "recall, trained on", "how"]
    notes = (HEAD_WORDS,) if any(one.how == HEAD_REFITTED for one in sources) else ()
    return [table("Each source left out of training in turn", header, rows, notes)]


def _dependence_blocks(model: ModelReport) -> list[Block]:
    """Balanced accuracy with the lungs, or all else, blacked out."""
    found = model.dependence
    rows = [
        [text("the image as it is"), interval(found.full)],
        [text("lungs blacked out"), interval(found.lungs_blacked)],
        [text("lungs only"), interval(found.lungs_only)],
        [text("border only"), interval(found.border_only)],
    ]
    share = number(found.lung_dependence).pieces
    words = Paragraph(("Lung dependence ", *share, f"; lungs are {REGIONS[found.regions]}."))
    return [words, table("Balanced accuracy when part of the image is black", ["what it sees", "result"], rows)]


def _perturbation_blocks(model: ModelReport, place: str) -> list[Block]:
    """Changed images, shuffled patches, frequencies."""
    texture = Grid((shuffle_chart(place, model.shuffle), frequencies_chart(place, model.frequencies)))
    return [_perturbations(model.robustness), perturbation_chart(place, model.robustness), texture]


def _perturbations(found: Sequence[Perturbed]) -> Table:
    rows = [
        [text(one.text), number(one.balanced_accuracy), number(one.change, CHANGE), number(one.flips)] for one in found
    ]
    header = ["change to the image", "balanced accuracy", "difference", "share of answers that change"]
    return table("Robustness", header, rows)


def _attention_blocks(model: ModelReport) -> list[Block]:
    """What the heat maps are worth, and whether they lie on the lungs."""
    maps = model.cam
    similarity = number(maps.similarity_randomised).pieces
    words = Paragraph(
        ("Similarity to the maps of random weights: ", *similarity, f". {stamp_of(maps)}."),
        "note" if maps.void else "",
    )
    if not maps.inside:
        return [words, not_measured("Share inside the lungs", "no masks")]
    return [words, _inside(maps.inside, REGIONS[PREDICTED if maps.predicted else MASKS])]


def _inside(entries: Sequence[Enrichment], lungs: str) -> Table:
    rows = [
        Row((text(one.label), count(one.n), number(one.enrichment_median, HUNDREDTHS)), grey=one.n < SMALL)
        for one in entries
    ]
    note = (
        "Share of the heat inside the lungs, divided by their share of the image: 1 for an even map. Lungs are "
        f"{lungs}."
    )
    return table("Grad-CAM inside the lungs", ["class", "images", "median enrichment"], rows, (note,))


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of what is said of one network.

    Attributes:
        key: Its id, behind that of the network.
        title: Its heading.
        build: Makes its blocks; the second argument begins the ids of charts.
        folded: Whether it opens on demand only.
    """

    key: str
    title: str
    build: Callable[[ModelReport, str], list[Block]]
    folded: bool = True


PARTS = (
    _Part("classes", "Class by class", lambda model, _: _class_blocks(model), folded=False),
    _Part("curves", "ROC and precision", _curve_blocks, folded=False),
    _Part("points", "Operating points", lambda model, _: point_blocks(model.operating_points), folded=False),
    _Part("answering", "What it refers and rejects", lambda model, _: answering_blocks(model.answering), False),
    _Part("calibration", "Calibration", _calibration_blocks),
    _Part("distributions", "Probabilities by true class", _distribution_blocks),
    _Part("benefit", "Decision curve", _decision_curve_blocks),
    _Part("abstention", "Prediction sets and error by coverage", _abstention_blocks),
    _Part("subgroups", "Subgroups", lambda model, _: _subgroup_blocks(model)),
    _Part("sources", "Sources left out of training", lambda model, _: source_blocks(model.sources)),
    _Part("lungs", "Does it need the lungs?", lambda model, _: _dependence_blocks(model)),
    _Part("robustness", "Robustness and texture", _perturbation_blocks),
    _Part("attention", "Where it looks", lambda model, _: _attention_blocks(model)),
)


def each_model_section(report: Report) -> Section:
    """A fold for each model: all parts of the one that screens, two of the others."""
    folds = [_model_fold(model) for model in ordered(report.models)]
    words = "All other figures of the networks that do not screen are in report.json."
    return Section("each-model", "Network by network", [*folds, Paragraph((words,))])


def _model_fold(model: ModelReport) -> Fold:
    place = slug(model.name)
    blocks = [block for part in PARTS if model.screening for block in _part_blocks(part, model, place)]
    brief = [*_class_blocks(model), *_curve_blocks(model, place)]
    accuracy = interval_pieces(model.metrics.balanced_accuracy)
    title = (f"{name_of(model)}: balanced accuracy ", *accuracy)
    return Fold(place, title, tuple(blocks or brief), open=model.screening)


def _part_blocks(part: _Part, model: ModelReport, place: str) -> list[Block]:
    name, blocks = f"{place}-{part.key}", part.build(model, place)
    return (
        [Fold(name, (part.title,), tuple(blocks), level=4)] if part.folded else [Heading(name, part.title, 4), *blocks]
    )
