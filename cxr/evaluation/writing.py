"""Write what people and DVC read of an evaluation."""

from collections.abc import Sequence
from pathlib import Path

from cxr.evaluation.candidates import Candidate
from cxr.evaluation.card import render_card
from cxr.evaluation.figures import draw_confusion, draw_learning_curves
from cxr.evaluation.flat import flat_metrics
from cxr.evaluation.outputs import write_outputs
from cxr.evaluation.reporting.html import render_html
from cxr.evaluation.reporting.markdown_page import render_markdown
from cxr.evaluation.reporting.page_errors import Pictures
from cxr.evaluation.tables import (
    learning_curves_table,
    predictions_table,
    reliability_table,
    risk_coverage_table,
    roc_table,
)
from cxr.files import JsonObject, write_json, write_text
from cxr.manifest import write_table


def write_saved_outputs(folder: Path, candidates: Sequence[Candidate]) -> None:
    """Write <model>.npz: logits, features, files, groups and sources of every image of the split table."""
    for candidate in candidates:
        write_outputs(folder / f"{candidate.name}.npz", candidate.outputs)


def write_reports(folder: Path, candidates: Sequence[Candidate], report: JsonObject, pictures: Pictures) -> None:
    """Write the report in its three forms, and the metrics, tables and figures that DVC shows."""
    for model in report["models"]:
        write_json(folder / "metrics" / f"{model['name']}.json", flat_metrics(model))
    write_table(folder / "predictions.csv", predictions_table(candidates))
    write_table(folder / "learning_curves.csv", learning_curves_table(candidates))
    write_table(folder / "plots" / "roc.csv", roc_table(report["models"]))
    write_table(folder / "plots" / "reliability.csv", reliability_table(report["models"]))
    write_table(folder / "plots" / "risk_coverage.csv", risk_coverage_table(report["models"]))
    draw_confusion(folder / "figures" / "confusion.png", candidates)
    draw_learning_curves(folder / "figures" / "learning_curves.png", candidates)
    write_json(folder / "environment.json", environments(candidates))
    write_json(folder / "report.json", report)
    write_text(folder / "report.md", render_markdown(report))
    write_text(folder / "report.html", render_html(report, pictures))


def environments(candidates: Sequence[Candidate]) -> JsonObject:
    """Return what each network was trained with, by its name; the next training compares itself with it."""
    return {candidate.name: candidate.model.description["environment"] for candidate in candidates}


def write_card(folder: Path, description: JsonObject) -> None:
    """Write model_card.md of the chosen network."""
    write_text(folder / "model_card.md", render_card(description))
