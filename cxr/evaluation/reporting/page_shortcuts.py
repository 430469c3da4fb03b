"""One model: does it look at lungs, or at something else that tells the classes apart?"""

from cxr.evaluation.reporting.blocks import Block, Grid, Paragraph, Row, Table
from cxr.evaluation.reporting.cells import count, interval, not_measured, number, signed, table, text
from cxr.evaluation.reporting.charts_texture import perturbation_chart, texture_charts
from cxr.evaluation.reporting.page_classes import SMALL
from cxr.files import JsonObject

REGIONS = {"masks": "the release's lung masks", "box": "a fixed box, because the release has no lung masks"}
VOID, CHECKED, NOT_CHECKED = "Void: hardly depends on the weights", "Checked: shows where, not why", "Not checked"
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


def stamp_of(model: JsonObject) -> str:
    """Return what is stamped on the heat maps of a model."""
    cam = model.get("cam")
    if not cam or cam.get("void") is None:
        return NOT_CHECKED
    if cam["void"]:
        return VOID
    return CHECKED
