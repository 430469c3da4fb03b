"""Everything about each model: the screening model open, the others folded."""

from cxr.evaluation.reporting.blocks import Block, Fold, Heading, Paragraph, Section
from cxr.evaluation.reporting.cells import interval_pieces
from cxr.evaluation.reporting.page_answering import answering_blocks
from cxr.evaluation.reporting.page_classes import calibration_blocks, class_blocks, curve_blocks, distribution_blocks
from cxr.evaluation.reporting.page_decisions import abstention_blocks, decision_curve_blocks, point_blocks
from cxr.evaluation.reporting.page_names import name_of, ordered
from cxr.evaluation.reporting.page_shortcuts import (
    attention_blocks,
    dependence_blocks,
    perturbation_blocks,
    source_blocks,
    subgroup_blocks,
)
from cxr.evaluation.reporting.pieces import Piece
from cxr.evaluation.reporting.slugs import slug
from cxr.files import JsonObject

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
