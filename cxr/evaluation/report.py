"""reports/report.md: the networks side by side, and what the figures cannot show."""

from collections.abc import Sequence

from cxr.evaluation.evaluating import Evaluation
from cxr.evaluation.markdown import RESEARCH_ONLY, metrics_rows, synthetic_warning, table

COLUMNS = ("balanced_accuracy", "accuracy", "macro_f1", "macro_auc", "log_loss")

LIMITS = (
    "These figures compare networks on one random split of one collection. They do not show that a network detects "
    "disease: in the public database a class and the hospital it comes from are nearly the same thing, and knowing "
    "only the source collection of an image gives 95.6 % accuracy without looking at it."
)


def render_report(evaluations: Sequence[Evaluation], chosen: Evaluation) -> str:
    """Return the report as Markdown; the figures are linked from `figures/` beside it."""
    data = chosen.model.description["data"]
    return (
        "# Evaluation\n\n"
        + synthetic_warning(data)
        + f"{LIMITS} {RESEARCH_ONLY}\n\n"
        + _data(data)
        + "## Test split\n\n"
        + _comparison(evaluations)
        + f"\n\nScreens folders: **{chosen.name}** (validation log loss {chosen.validation_log_loss:.4f}).\n\n"
        + "".join(_by_class(evaluation) for evaluation in evaluations)
        + "![Confusion matrices](figures/confusion.png)\n\n![Learning curves](figures/learning_curves.png)\n"
    )


def _data(data: dict[str, dict[str, int]]) -> str:
    splits = ", ".join(f"{count} {name}" for name, count in data["images_per_split"].items())
    classes = ", ".join(f"{count} {name}" for name, count in data["images_per_class"].items())
    return f"## Data\n\n{data['images']} images: {classes}; {splits}. SHA-256 `{data['sha256']}`.\n\n"


def _comparison(evaluations: Sequence[Evaluation]) -> str:
    header = ["network", "initialisation", "weights", "GFLOP", "epochs", *COLUMNS, "validation log loss"]
    return table(header, [_row(evaluation) for evaluation in evaluations])


def _row(evaluation: Evaluation) -> list[str]:
    description = evaluation.model.description
    return [
        evaluation.name,
        description["initialisation"],
        f"{description['parameters']:,}",
        f"{description['gflop_per_image']:.3f}",
        f"{description['training']['best_epoch']} of {description['training']['epochs']}",
        *(f"{evaluation.metrics[column]:.4f}" for column in COLUMNS),
        f"{evaluation.validation_log_loss:.4f}",
    ]


def _by_class(evaluation: Evaluation) -> str:
    rows = metrics_rows(evaluation.metrics, evaluation.model.classes)
    return f"### {evaluation.name}\n\n{table(['class', 'sensitivity', 'specificity'], rows)}\n\n"
