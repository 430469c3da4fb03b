"""May the new model take the old one's place? A line for each condition, and all of them must hold."""

from cxr.evaluation.packaging import MAX_BYTES
from cxr.files import JsonObject
from cxr.release.differences import is_worse

MAX_GFLOP = 0.3  # an image: what keeps screening bound by decoding


def judge(report: JsonObject, target: str) -> list[JsonObject]:
    """Return the conditions, each with `condition`, `found` and `holds`.

    Args:
        report: With `figures`, and `new` and `old` as `cxr.release.stated.stated` gives them.
        target: Class whose sensitivity counts.
    """
    counted = ("balanced_accuracy", f"{target}_sensitivity", "log_loss")
    return [*(_not_worse(name, report["figures"][name]["difference"]) for name in counted), *_others(report)]


def _not_worse(name: str, difference: JsonObject) -> JsonObject:
    bounds = "does not vary" if difference["low"] is None else f"{difference['low']:+.4f} to {difference['high']:+.4f}"
    return _line(
        f"{name} is not lower" if name != "log_loss" else "log_loss is not higher",
        f"{difference['value']:+.4f}, {bounds}",
        not is_worse(name, difference),
    )


def _others(report: JsonObject) -> list[JsonObject]:
    new, old = report["new"], report["old"]
    failed, before = new["failed_audits"], old["failed_audits"] or []
    fresh = [id for id in failed or [] if id not in before]
    named = "its model.json names no audits" if failed is None else ", ".join(fresh) or "none"
    gflop = new["gflop"]
    return [
        _line("no audit fails that did not fail before", named, failed is not None and not fresh),
        _line(f"at most {MAX_BYTES:,} bytes", f"{new['bytes']:,}", new["bytes"] <= MAX_BYTES),
        _line(
            f"at most {MAX_GFLOP} GFLOP an image",
            "not stated" if gflop is None else f"{gflop:.3f}",
            gflop is not None and gflop <= MAX_GFLOP,
        ),
    ]


def _line(condition: str, found: str, holds: bool) -> JsonObject:
    return {"condition": condition, "found": found, "holds": bool(holds)}
