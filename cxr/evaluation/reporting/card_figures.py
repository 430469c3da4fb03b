"""The figures of a model card, cut out of the report, so that card and report cannot disagree."""

from collections.abc import Iterator

from cxr.evaluation.flat import worst_source
from cxr.evaluation.reporting.blocks import Block, Paragraph, Points, Table
from cxr.evaluation.reporting.cells import interval, not_measured, number, table, text
from cxr.evaluation.reporting.markdown_page import markdown, plain
from cxr.evaluation.reporting.page_answering import answering_blocks
from cxr.evaluation.reporting.page_classes import class_table, predictive_table
from cxr.evaluation.reporting.page_decisions import point_blocks, referred_paragraph
from cxr.evaluation.reporting.page_shortcuts import source_blocks
from cxr.files import JsonObject

OF_MODEL = ("n", "metrics", "classes", "operating_points", "answering", "lift", "sources")
METRICS = ("balanced_accuracy", "accuracy", "macro_auc", "log_loss", "brier")


def describe_for_card(report: JsonObject, name: str) -> JsonObject:
    """Return what a card says of one model's figures; it goes into model.json as evaluation.card.

    Args:
        report: The content of reports/report.json.
        name: Of a model in it.

    Returns:
        Parts of the report in its own form: of the model (without curves), floor, verdict, banner and waivers; what its
        maps were found to be worth; and the result of each audit of the data and of this model, by id.
    """
    model = next(one for one in report["models"] if one["name"] == name)
    calibration, conformal = model.get("calibration") or {}, model.get("conformal") or {}
    return {
        **{key: model.get(key) for key in OF_MODEL},
        "calibration": {key: calibration.get(key) for key in ("temperature", "after", "distinguishable")},
        "conformal": {key: conformal.get(key) for key in ("alpha", "referred")},
        "lung_dependence": (model.get("dependence") or {}).get("lung_dependence"),
        "cam": {key: (model.get("cam") or {}).get(key) for key in ("similarity_randomised", "void")},
        "audits": {one["id"]: one["result"] for one in report.get("audits") or () if one.get("model") in (None, name)},
        "floor": report.get("floor"),
        "headline": (report.get("verdict") or {}).get("headline"),
        "banner": report.get("banner") or [],
        "waivers": report.get("waivers") or [],
        "limitations": report.get("limitations") or [],
    }


def figures_of(card: JsonObject) -> str:
    """Return the sections of a card that hold figures, as Markdown."""
    return "\n\n".join(_parts(card)) + "\n"


def _parts(card: JsonObject) -> Iterator[str]:
    yield "## What the figures can show"
    yield f"**{plain((card.get('headline') or 'No verdict was passed.',))}**"
    yield from markdown(Points(tuple((str(one),) for one in card["banner"])))
    for one in card["waivers"]:
        yield plain((f"Waived, {one['stage']}, {one['audit']}: {one['why']}",))
    yield from markdown(_shortcuts(card))
    yield "## Test split"
    yield (
        f"{card['n']:,} images that training and selection did not see; one random split, patients and duplicate "
        "groups kept together. Probabilities are calibrated on validation. Square brackets hold 95 % intervals."
    )
    for block in (
        _measures(card),
        *_by_class(card),
        *point_blocks(card, ""),
        *(answering_blocks(card, "") if card.get("answering") else ()),
        _referral(card),
        *source_blocks(card, ""),
    ):
        yield from markdown(block)
    yield "## Known limitations"
    yield from markdown(Points(tuple((str(one),) for one in card["limitations"])))


def _measures(card: JsonObject) -> Table:
    metrics = card.get("metrics") or {}
    rows = [[text(name), interval(metrics.get(name))] for name in METRICS]
    return table("Overall", ["metric", "value"], rows)


def _by_class(card: JsonObject) -> list[Block]:
    if not card.get("classes"):
        return [not_measured("Figures by class")]
    return [class_table(card["classes"]), predictive_table(card["classes"])]


def _referral(card: JsonObject) -> Paragraph:
    if not card["conformal"].get("referred"):
        return not_measured("Referral")
    return referred_paragraph(card["conformal"])


def _shortcuts(card: JsonObject) -> Table:
    floor, lift, worst = card.get("floor") or {}, card.get("lift") or {}, worst_source(card)
    rows = [
        [text("balanced accuracy from overall grey alone"), interval(floor.get("floor"))],
        [text("the network above it"), interval(lift.get("over_floor"), sign=True)],
        [text("balanced accuracy from the frame alone"), interval(floor.get("frame"))],
        [text("the network above it"), interval(lift.get("over_frame"), sign=True)],
        [text("accuracy from the source collection alone"), number(floor.get("oracle"))],
        [text("lung dependence (nought: none, one: whole)"), number(card.get("lung_dependence"))],
        [text("least recall on a source left out of training"), interval(worst["recall"] if worst else None)],
    ]
    return table("Beside what needs no lungs", ["figure", "value"], rows)
