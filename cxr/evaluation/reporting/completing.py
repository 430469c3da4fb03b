"""Figures that follow from others of the report, so that every printed one stands in the JSON."""

from collections import Counter
from collections.abc import Mapping

from cxr.evaluation.reporting.page_audits import ORDER
from cxr.evaluation.reporting.standards import STATUSES, standards
from cxr.files import JsonObject


def complete_report(report: JsonObject) -> JsonObject:
    """Return the report with totals, shares, counts and the map of standards; call it before writing report.json.

    Adds data.shares, data.images_per_split, flow[].total, audit_counts, models[].confusion_rows (each row of the
    confusion over its sum) and standards with counts.
    """
    results = Counter(record["result"] for record in report.get("audits") or [])
    return report | {
        "data": _data(report["data"]),
        "flow": [step | {"total": sum(step["images"].values())} for step in report.get("flow") or []],
        "audit_counts": {name: results[name] for name in ORDER if results[name]},
        "models": [_model(model) for model in report["models"]],
        "standards": [_standard(one) for one in report.get("standards") or standards()],
    }


def _data(data: JsonObject) -> JsonObject:
    return data | {
        "shares": _shares(data["classes"]),
        "images_per_split": {split: sum(counts.values()) for split, counts in data["classes_by_split"].items()},
    }


def _shares(counts: Mapping[str, int]) -> dict[str, float]:
    whole = sum(counts.values())
    return {name: round(number / whole, 6) for name, number in counts.items()} if whole else {}


def _model(model: JsonObject) -> JsonObject:
    if not model.get("confusion"):
        return model
    return model | {"confusion_rows": [_row(row) for row in model["confusion"]]}


def _row(row: list[int]) -> list[float | None]:
    whole = sum(row)
    return [round(number / whole, 6) if whole else None for number in row]


def _standard(standard: JsonObject) -> JsonObject:
    found = Counter(item["status"] for item in standard["items"])
    return standard | {"counts": {status: found[status] for status in STATUSES if found[status]}}
