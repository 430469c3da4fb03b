"""Write what people and DVC read of an evaluation."""

from collections.abc import Sequence
from pathlib import Path

from cxr.evaluation.card import render_card
from cxr.evaluation.evaluating import Evaluation
from cxr.evaluation.figures import draw_confusion, draw_learning_curves
from cxr.evaluation.report import render_report
from cxr.evaluation.tables import learning_curves_table, predictions_table
from cxr.files import JsonObject, write_json, write_text
from cxr.manifest import write_table


def write_reports(folder: Path, evaluations: Sequence[Evaluation], chosen: Evaluation) -> None:
    """Write metrics/<model>.json, predictions.csv, learning_curves.csv, figures/*.png and report.md."""
    for evaluation in evaluations:
        write_json(folder / "metrics" / f"{evaluation.name}.json", evaluation.flat_metrics())
    write_table(folder / "predictions.csv", predictions_table(evaluations))
    write_table(folder / "learning_curves.csv", learning_curves_table(evaluations))
    draw_confusion(folder / "figures" / "confusion.png", evaluations)
    draw_learning_curves(folder / "figures" / "learning_curves.png", evaluations)
    write_text(folder / "report.md", render_report(evaluations, chosen))


def write_card(folder: Path, description: JsonObject) -> None:
    """Write model_card.md of the chosen network."""
    write_text(folder / "model_card.md", render_card(description))
