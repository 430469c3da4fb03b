"""Put everything that was measured into one JSON object: page, text, card and metrics all come from it."""

from collections.abc import Mapping, Sequence
from typing import Any

from cxr.evaluation.candidates import Candidate
from cxr.evaluation.gallery import confident_errors, examples
from cxr.evaluation.reporting.completing import complete_report
from cxr.evaluation.verdict import LIMITATIONS, banner, verdict
from cxr.files import JsonObject

FORM = 1
TITLE = "Evaluation of the networks"


def model_part(candidate: Candidate, *, screening: bool, measured: JsonObject, audited: JsonObject) -> JsonObject:
    """Return what the report says of one network.

    Args:
        candidate: The network.
        screening: Whether it is the one that screens folders.
        measured: What `stats.measuring.measure_model` says of the test split.
        audited: What `audits` says of it.
    """
    description = candidate.model.description
    return {
        "name": candidate.name,
        "screening": screening,
        "members": list(candidate.model.members),
        "initialisation": description["initialisation"],
        "parameters": description["parameters"],
        "gflop": description["gflop_per_image"],
        "epochs": description["training"]["epochs"],
        "best_epoch": description["training"]["best_epoch"],
        "validation_log_loss": candidate.validation_log_loss,
        **measured,
        **audited,
        "errors": confident_errors(candidate.test, candidate.probabilities),
        "examples": examples(candidate.test, candidate.probabilities),
    }


def assemble(
    candidates: Sequence[Candidate],
    models: Sequence[JsonObject],
    floor: JsonObject,
    audits: Sequence[JsonObject],
    split_report: JsonObject,
    comparisons: Sequence[JsonObject],
    params: Mapping[str, Any],
) -> JsonObject:
    """Return the report.

    Args:
        candidates: The networks.
        models: Their parts, as `model_part` returns them, in the same order.
        floor: Floor, frame probe, oracle and chance.
        audits: Records of prepare, split and evaluate, each with its `stage`.
        split_report: Content of reports/split.json.
        comparisons: Network against network.
        params: Content of params.yaml.
    """
    data = candidates[0].model.description["data"]
    report = {
        "format": FORM,
        "title": TITLE,
        "data": {
            "images": data["images"],
            "synthetic_images": data["synthetic_images"],
            "sha256": data["sha256"],
            "classes": data["images_per_class"],
            "classes_by_split": split_report["classes_by_split"],
            "sources": split_report["sources"],
        },
        "verdict": verdict(models, audits, floor),
        "banner": banner(floor),
        "waivers": [
            {"stage": audit["stage"], "audit": audit["name"], "why": audit["waiver"]}
            for audit in audits
            if audit["waiver"]
        ],
        "flow": split_report["flow"],
        "audits": list(audits),
        "floor": floor,
        "chance": floor["chance"],
        "screening_model": next(model["name"] for model in models if model["screening"]),
        "models": list(models),
        "comparisons": list(comparisons),
        "learning_curves": [epoch for candidate in candidates for epoch in _epochs(candidate)],
        "reproducibility": _reproducibility(candidates, params),
        "limitations": list(LIMITATIONS),
    }
    return complete_report(report)


def _epochs(candidate: Candidate) -> list[JsonObject]:
    columns = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy")
    if candidate.history is None:
        return []
    rows = candidate.history[list(columns)].to_dict("records")
    return [
        {"model": candidate.name, "epoch": int(row["epoch"])} | {c: round(float(row[c]), 6) for c in columns[1:]}
        for row in rows
    ]


def _reproducibility(candidates: Sequence[Candidate], params: Mapping[str, Any]) -> JsonObject:
    """Without the commit: the report is part of what is committed; git says which one holds it."""
    description = candidates[0].model.description
    return {
        "commit": None,
        "data_sha256": description["data"]["sha256"],
        "params": {name: params[name] for name in params},
        "versions": dict(description["environment"]),
        "networks": {candidate.name: candidate.model.network_sha256 for candidate in candidates},
    }
