"""What a model says of itself in its model.json, and what it weighs; what it does not say is null."""

from collections.abc import Mapping
from typing import Any

from cxr.audit import Result
from cxr.evaluation.packaging import model_files
from cxr.files import JsonObject, read_json
from cxr.gate import GATE_FILE
from cxr.model_folder import ScreeningModel

FIGURES = ("worst_source_recall", "lift_over_frame", "lung_dependence")


def stated(model: ScreeningModel) -> JsonObject:
    """Return the figures of a model that need no second run.

    Returns:
        `failed_audits`, ids of the audits that failed, sorted; FIGURES as `evaluate` measured them; bytes of its
        files without the description; gflop an image, with that of the gate where it has one. Null where the
        description has none.
    """
    evaluation: Mapping[str, Any] = model.description.get("evaluation") or {}
    return {
        "failed_audits": _failed(evaluation.get("card") or {}),
        **{name: evaluation.get(name) for name in FIGURES},
        "bytes": sum(file.stat().st_size for file in model_files(model.folder, model.description)),
        "gflop": _gflop(model),
    }


def _gflop(model: ScreeningModel) -> float | None:
    costs = [model.description, *([read_json(model.folder / GATE_FILE)] if model.gate else [])]
    each = [float(cost["gflop_per_image"]) for cost in costs if "gflop_per_image" in cost]
    return round(sum(each), 4) if len(each) == len(costs) else None


def _failed(card: Mapping[str, Any]) -> list[str] | None:
    audits: Mapping[str, str] | None = card.get("audits")
    return None if audits is None else sorted(id for id, result in audits.items() if result == Result.FAIL)
