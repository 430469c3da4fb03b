"""Sections on one network: decisions, answers and abstentions, shortcuts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cxr.evaluation.audits.attention import Enrichment
from cxr.evaluation.audits.perturbations import BOX, MASKS, PREDICTED, Perturbed
from cxr.evaluation.audits.subgroups import HeldOutSource
from cxr.evaluation.records import ModelReport, Report
from cxr.evaluation.reporting.charts import (
    decision_chart,
    frequencies_chart,
    perturbation_chart,
    risk_chart,
    shuffle_chart,
)
from cxr.evaluation.reporting.document import (
    Block,
    Cell,
    Fold,
    Grid,
    Heading,
    Paragraph,
    Piece,
    Row,
    Section,
    Table,
    count,
    interval,
    interval_pieces,
    name_of,
    not_measured,
    number,
    ordered,
    slug,
    stamp_of,
    table,
    text,
)
from cxr.evaluation.reporting.format import CHANGE, FINE_NUMBER, HUNDREDTHS
from cxr.evaluation.reporting.networks import SMALL, calibration_blocks, class_blocks, curve_blocks, distribution_blocks
from cxr.evaluation.stats.decisions import (
    Answering,
    MeasuredPoint,
    PredictionSets,
    ReasonedOutcomes,
    Referral,
    SelectiveRisk,
)
from cxr.evaluation.stats.intervals import Interval


def point_blocks(points: Sequence[MeasuredPoint]) -> list[Block]:
    """Thresholds frozen on validation, and what they mean where the disease is rarer."""
    header = [
        "operating point",
        "threshold",
        "aim",
        "validation sensitivity",
        "validation specificity",
        "test sensitivity",
        "test specificity",
    ]
    rows = [
        [
            text(point.name),
            number(point.threshold, FINE_NUMBER),
            text(point.aim),
            number(point.validation_sensitivity),
            number(point.validation_specificity),
            interval(point.sensitivity),
            interval(point.specificity),
        ]
        for point in points
    ]
    return [table("Chosen on validation, only applied to the test split", header, rows), _prevalence(points)]


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
    pieces.append(". This holds only for images like those of validation.")
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
    """What becomes of the test images with and without gate and disagreement, and for which reasons."""
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
    header = ["test images", "with gate and disagreement", "prediction sets alone"]
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
    MASKS: "the release's lung masks",
    PREDICTED: "those that the lung segmenter finds, because the release has not a mask of every image",
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
    return [table("Each source left out of training in turn", header, rows)]


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
    _Part("classes", "Class by class", lambda model, _: class_blocks(model), folded=False),
    _Part("curves", "ROC and precision", curve_blocks, folded=False),
    _Part("points", "Operating points", lambda model, _: point_blocks(model.operating_points), folded=False),
    _Part("answering", "What it refers and rejects", lambda model, _: answering_blocks(model.answering), False),
    _Part("calibration", "Calibration", calibration_blocks),
    _Part("distributions", "Probabilities by true class", distribution_blocks),
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
    brief = [*class_blocks(model), *curve_blocks(model, place)]
    accuracy = interval_pieces(model.metrics.balanced_accuracy)
    title = (f"{name_of(model)}: balanced accuracy ", *accuracy)
    return Fold(place, title, tuple(blocks or brief), open=model.screening)


def _part_blocks(part: _Part, model: ModelReport, place: str) -> list[Block]:
    name, blocks = f"{place}-{part.key}", part.build(model, place)
    return (
        [Fold(name, (part.title,), tuple(blocks), level=4)] if part.folded else [Heading(name, part.title, 4), *blocks]
    )
