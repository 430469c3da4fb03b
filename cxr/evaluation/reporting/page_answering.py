"""One model as cxr-batch runs it: what is rejected, referred and answered, and where its errors end."""

from collections.abc import Mapping

from cxr.evaluation.reporting.blocks import Block, Cell, Table
from cxr.evaluation.reporting.cells import count, interval, not_measured, table, text
from cxr.files import JsonObject

SHARES = (
    ("rejected: no answer", "rejected"),
    ("referred to a reader", "referred"),
    ("answered", "answered"),
    ("wrong among what is answered", "error_answered"),
    ("all errors, how many are referred", "share_of_errors_referred"),
    ("all errors, how many are rejected", "share_of_errors_rejected"),
    ("the target class, how much is answered as not suspected", "missed"),
)


def answering_blocks(model: JsonObject, _place: str) -> list[Block]:
    """What becomes of the test images with and without gate and disagreement, and for which reasons."""
    answering = model.get("answering")
    if not answering:
        return [not_measured("Rejected, referred and answered")]
    return [_paths(answering), _reasons(answering["gated"])]


def _paths(answering: JsonObject) -> Table:
    gated, ungated = answering["gated"], answering["ungated"]
    rows = [[text(words), interval(gated.get(key)), interval(ungated.get(key))] for words, key in SHARES]
    rows.append([text("errors, images"), count(gated["errors"]), count(ungated["errors"])])
    note = (
        "As cxr-batch decides at its own operating point. An error is a most probable class that is not the truth, "
        "also of what is rejected. These test images are of the known collections: the gate is there for others."
    )
    header = ["test images", "with gate and disagreement", "prediction sets alone"]
    return table("Rejected, referred, answered", header, rows, (note,))


def _reasons(gated: JsonObject) -> Table:
    rows = [
        row
        for what, key in (("rejected", "rejected_by"), ("referred", "referred_by"), ("marked", "flags"))
        for row in _rows(what, gated.get(key) or {})
    ]
    note = "One reason an image; marks may be several, and of what is rejected only those of its exposure are known."
    return table("For which reasons", ["what", "reason", "share of the images"], rows, (note,))


def _rows(what: str, shares: Mapping[str, JsonObject]) -> list[list[Cell]]:
    return [[text(what), text(reason), interval(share)] for reason, share in shares.items()]
