"""Sections on one network: decisions, answers and abstentions, shortcuts."""

from collections.abc import Mapping, Sequence

from cxr.core.files import JsonObject
from cxr.evaluation.reporting.charts import decision_chart, perturbation_chart, risk_chart, texture_charts
from cxr.evaluation.reporting.document import (
    CHECKED,
    NOT_CHECKED,
    VOID,
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
    signed,
    slug,
    stamp_of,
    table,
    text,
)
from cxr.evaluation.reporting.networks import SMALL, calibration_blocks, class_blocks, curve_blocks, distribution_blocks


def point_blocks(model: JsonObject, _place: str) -> list[Block]:
    """Thresholds frozen on validation, and what they mean where the disease is rarer."""
    points = model.get("operating_points")
    if not points:
        return [not_measured("Operating points")]
    return [_points(points), *([_prevalence(points)] if any(point.get("by_prevalence") for point in points) else [])]


def _points(points: Sequence[JsonObject]) -> Table:
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
            text(point["name"]),
            number(point.get("threshold"), 4),
            text(point.get("aim")),
            number(point.get("validation_sensitivity")),
            number(point.get("validation_specificity")),
            interval(point.get("sensitivity")),
            interval(point.get("specificity")),
        ]
        for point in points
    ]
    return table("Chosen on validation, only applied to the test split", header, rows)


def _prevalence(points: Sequence[JsonObject]) -> Table:
    rows = [
        [text(point["name"]), number(one["prevalence"], 2), number(one["ppv"]), number(one["npv"])]
        for point in points
        for one in point.get("by_prevalence") or []
    ]
    caption = "Predictive values where the disease is rarer, from test sensitivity and specificity"
    return table(caption, ["operating point", "prevalence", "PPV", "NPV"], rows)


def decision_curve_blocks(model: JsonObject, place: str) -> list[Block]:
    """Net benefit against treating all or none (Vickers and Elkin 2006)."""
    curve = model.get("decision_curve")
    return [decision_chart(place, curve)] if curve else [not_measured("Decision curve")]


def abstention_blocks(model: JsonObject, place: str) -> list[Block]:
    """Error by coverage, and prediction sets."""
    selective, conformal = model.get("selective"), model.get("conformal")
    blocks: list[Block] = []
    if conformal:
        blocks += [referred_paragraph(conformal), _coverage(conformal)]
        if conformal.get("sizes"):
            blocks.append(_sizes(conformal["sizes"]))
    else:
        blocks.append(not_measured("Prediction sets"))
    if selective and selective.get("curve"):
        return [*blocks, risk_chart(place, selective["curve"]), _selective(selective)]
    return [*blocks, not_measured("Error by coverage")]


def referred_paragraph(conformal: JsonObject) -> Paragraph:
    """Say how much is referred, and how many errors are in it."""
    referred = conformal.get("referred") or {}
    errors = count(referred.get("errors")).pieces
    pieces: list[Piece] = ["Referred (prediction set empty or of several classes): "]
    pieces += [*interval(referred.get("share")).pieces, " of the images. Of ", *errors, " errors "]
    pieces += [*count(referred.get("errors_referred")).pieces, " are among them"]
    if referred.get("share_of_errors_referred"):
        pieces += [" (", *interval_pieces(referred["share_of_errors_referred"]), ")"]
    pieces += ["; of what is answered, ", *interval(referred.get("error_answered")).pieces, " is wrong. "]
    pieces.append(
        "The promise of coverage holds for images like those of validation, and is void for another hospital's."
    )
    return Paragraph(tuple(pieces))


def _coverage(conformal: JsonObject) -> Table:
    rows = [
        Row((text(one["name"]), count(one["n"]), interval(one.get("coverage"))), grey=one["n"] < SMALL)
        for one in conformal.get("by_class") or []
    ]
    notes: tuple[Piece, ...] = ("Allowed to miss: ", *number(conformal.get("alpha"), 2).pieces, " of each class.")
    return table("Prediction sets: how often they hold the true class", ["class", "images", "coverage"], rows, notes)


def _sizes(sizes: JsonObject) -> Table:
    names = {"0": "none", "1": "one", "2": "two", "3": "three"}
    rows = [[text(names.get(size, f"{size} classes")), count(images)] for size, images in sizes.items()]
    return table("Classes in the prediction set", ["classes", "images"], rows)


def _selective(selective: JsonObject) -> Table:
    rows = [
        [number(one["coverage"], 2), number(one["risk"]), number(one.get("threshold"))]
        for one in selective.get("at") or []
    ]
    notes: tuple[Piece, ...] = (
        "Area under the curve ",
        *number(selective.get("aurc")).pieces,
        "; generalised (Traub et al.) ",
        *number(selective.get("augrc")).pieces,
        ".",
    )
    return table("Error if only the surest are answered", ["answered", "error", "least confidence"], rows, notes)


SHARES = (
    ("rejected: no answer", "rejected"),
    ("referred to a reader", "referred"),
    ("answered", "answered"),
    ("wrong among what is answered", "error_answered"),
    ("all errors, how many are referred", "share_of_errors_referred"),
    ("all errors, how many are rejected", "share_of_errors_rejected"),
    ("the target class, how much is answered as not suspected", "missed"),
)


def answering_blocks(model: JsonObject, _place: str) -> list[Block]:
    """What becomes of the test images with and without gate and disagreement, and for which reasons."""
    answering = model.get("answering")
    if not answering:
        return [not_measured("Rejected, referred and answered")]
    return [_paths(answering), _reasons(answering["gated"])]


def _paths(answering: JsonObject) -> Table:
    gated, ungated = answering["gated"], answering["ungated"]
    rows = [[text(words), interval(gated.get(key)), interval(ungated.get(key))] for words, key in SHARES]
    rows.append([text("errors, images"), count(gated["errors"]), count(ungated["errors"])])
    note = (
        "As cxr-batch decides at its own operating point. An error is a most probable class that is not the truth, "
        "also of what is rejected. These test images are of the known collections: the gate is there for others."
    )
    header = ["test images", "with gate and disagreement", "prediction sets alone"]
    return table("Rejected, referred, answered", header, rows, (note,))


def _reasons(gated: JsonObject) -> Table:
    rows = [
        row
        for what, key in (("rejected", "rejected_by"), ("referred", "referred_by"), ("marked", "flags"))
        for row in _rows(what, gated.get(key) or {})
    ]
    note = "One reason an image; marks may be several, and of what is rejected only those of its exposure are known."
    return table("For which reasons", ["what", "reason", "share of the images"], rows, (note,))


def _rows(what: str, shares: Mapping[str, JsonObject]) -> list[list[Cell]]:
    return [[text(what), text(reason), interval(share)] for reason, share in shares.items()]


REGIONS = {"masks": "the release's lung masks", "box": "a fixed box, because the release has no lung masks"}
MAPS = {
    VOID: "The maps are void: they hardly change when the trained weights are replaced by random ones.",
    CHECKED: "The maps passed this check: they come from the trained weights. They show where, not why.",
    NOT_CHECKED: "Whether the maps come from the trained weights was not checked.",
}
GROUPS = {"children_adults": "children and adults"}


def is_small(entry: JsonObject) -> bool:
    """Tell whether an entry has too few images to say much."""
    return bool(entry["small"]) if "small" in entry else int(entry["n"]) < SMALL


def subgroup_blocks(model: JsonObject, _place: str) -> list[Block]:
    """Sensitivity in the groups that the database knows."""
    groups = model.get("subgroups")
    if not groups:
        return [not_measured("Subgroups")]
    rows = [
        Row(
            (
                text(GROUPS.get(one["group"], one["group"])),
                text(one["value"]),
                text(one.get("label") or "all classes"),
                count(one["n"]),
                interval(one.get("sensitivity")),
            ),
            grey=is_small(one),
        )
        for one in groups
    ]
    note = "Grey: fewer than thirty images. Age, sex and severity are not in the database."
    return [table("By group", ["group", "value", "true class", "images", "sensitivity"], rows, (note,))]


def source_blocks(model: JsonObject, _place: str) -> list[Block]:
    """Recall on each source if training had not seen it."""
    sources = model.get("sources")
    if not sources:
        return [not_measured("Recall on sources left out")]
    rows = [
        Row(
            (
                text(one["source"]),
                count(one["n"]),
                interval(one.get("recall")),
                interval(one.get("recall_in_training")),
                text(one.get("how")),
            ),
            grey=is_small(one),
        )
        for one in sources
    ]
    header = ["source", "images", "recall, left out", "recall, trained on", "how"]
    return [table("Each source left out of training in turn", header, rows)]


def dependence_blocks(model: JsonObject, _place: str) -> list[Block]:
    """Balanced accuracy with the lungs, or all else, blacked out."""
    found = model.get("dependence")
    if not found:
        return [not_measured("Dependence on the lungs")]
    names = (
        ("full", "the image as it is"),
        ("lungs_blacked", "lungs blacked out"),
        ("lungs_only", "lungs only"),
        ("border_only", "border only"),
    )
    rows = [[text(words), interval(found.get(key))] for key, words in names]
    regions = REGIONS.get(found.get("regions", ""), "not known")
    words = Paragraph(("Lung dependence ", *number(found.get("lung_dependence")).pieces, f"; lungs are {regions}."))
    return [words, table("Balanced accuracy when part of the image is black", ["what it sees", "result"], rows)]


def perturbation_blocks(model: JsonObject, place: str) -> list[Block]:
    """Changed images, shuffled patches, frequencies."""
    found = model.get("robustness")
    blocks: list[Block] = [not_measured("Robustness")]
    if found:
        blocks = [_perturbations(found), perturbation_chart(place, found)]
    charts = texture_charts(place, model.get("shuffle") or [], model.get("frequencies") or [])
    return [*blocks, Grid(tuple(charts)) if charts else not_measured("Texture")]


def _perturbations(found: list[JsonObject]) -> Table:
    rows = [
        [text(one["text"]), number(one["balanced_accuracy"]), signed(one["change"]), number(one["flips"])]
        for one in found
    ]
    header = ["change to the image", "balanced accuracy", "difference", "share of answers that change"]
    return table("Robustness", header, rows)


def attention_blocks(model: JsonObject, _place: str) -> list[Block]:
    """What the heat maps are worth, and whether they lie on the lungs."""
    cam = model.get("cam")
    if not cam:
        return [not_measured("Heat maps")]
    similarity = number(cam.get("similarity_randomised")).pieces
    words = Paragraph(
        (
            "Similarity to the maps of random weights: ",
            *similarity,
            f". The maps: {stamp_of(model)}.",
        ),
        "note" if cam.get("void") else "",
    )
    return [words, _inside(cam["inside"]) if cam.get("inside") else not_measured("Share inside the lungs", "no masks")]


def _inside(entries: list[JsonObject]) -> Table:
    rows = [
        Row((text(one["class"]), count(one["n"]), number(one.get("enrichment_median"), 2)), grey=one["n"] < SMALL)
        for one in entries
    ]
    note = "Heat inside the lungs over the lungs' share of the image; one is what an even map would have."
    return table("Grad-CAM inside the lungs", ["class", "images", "median enrichment"], rows, (note,))


PARTS = (
    ("classes", "Class by class", class_blocks),
    ("curves", "ROC and precision", curve_blocks),
    ("distributions", "Probabilities by true class", distribution_blocks),
    ("calibration", "Calibration", calibration_blocks),
    ("points", "Operating points", point_blocks),
    ("benefit", "Decision curve", decision_curve_blocks),
    ("answering", "What it answers, refers and rejects", answering_blocks),
    ("abstention", "Prediction sets and error by coverage", abstention_blocks),
    ("subgroups", "Subgroups", subgroup_blocks),
    ("sources", "Sources left out of training", source_blocks),
    ("lungs", "Does it need the lungs?", dependence_blocks),
    ("robustness", "Robustness and texture", perturbation_blocks),
    ("attention", "Where it looks", attention_blocks),
)
BRIEF = {"classes", "points"}


def each_model_section(report: JsonObject, whole: bool = True) -> Section:
    """A fold for each model, with its parts; if not `whole`, the others than the screening model have a few only."""
    folds = [model_fold(model, whole) for model in ordered(report["models"])]
    words = "The model that screens is open; open the others to read them." if whole else "The page has all of them."
    return Section("each-model", "Model by model", [Paragraph((words,)), *folds])


def model_fold(model: JsonObject, whole: bool) -> Fold:
    """Return the parts of one model."""
    place, screening = slug(model["name"]), bool(model.get("screening"))
    blocks: list[Block] = []
    for key, title, build in PARTS:
        if whole or screening or key in BRIEF:
            blocks += [Heading(f"{place}-{key}", title, 4), *build(model, place)]
    return Fold(place, _title(model), tuple(blocks), open=screening)


def _title(model: JsonObject) -> tuple[Piece, ...]:
    accuracy = (model.get("metrics") or {}).get("balanced_accuracy")
    if accuracy is None:
        return (name_of(model),)
    return (f"{name_of(model)}: balanced accuracy ", *interval_pieces(accuracy))
