"""What must hold in a row for the gate, or for there being none, as far as the cells can tell."""

from collections.abc import Iterator, Mapping

from cxr.errors import Reason
from cxr.flags import EXPOSURE_FLAGS, GATE_REASONS, SIGN_FLAGS, Flag
from cxr.gate import Limits
from cxr.limits import ruled_out_by_size
from cxr.screening.decision_rules import ROUNDED
from cxr.screening.schema import Schema

# Rows of pictures that a gate's network has passed: answered, or lost by a network after it.
PASSED = frozenset({"", Reason.NETWORK, Reason.NOT_FINITE})


def broken_by_gate(row: Mapping[str, str], schema: Schema) -> Iterator[str]:
    """Give a clause for each rule that a row breaks; its cells are well formed."""
    flags, reason = set(row["flags"].split()), row["reason"]
    if schema.gate is None:
        if reason in GATE_REASONS:
            yield f"reason is {reason!r}, but no gate judged"
        if given := flags & (EXPOSURE_FLAGS | SIGN_FLAGS):
            yield f"flags has {', '.join(sorted(given))}, but no gate judged"
        return
    if Flag.FLAT in flags:
        yield "flags has flat, which is said only where no gate judges"
    if reason not in PASSED and (seen := flags & SIGN_FLAGS):
        yield f"flags has {', '.join(sorted(seen))}, but the gate has not passed it: reason is {reason!r}"
    if reason in GATE_REASONS:
        if answered := [head.identity for head in schema.heads if row[f"{head.prefix}prediction"]]:
            yield f"reason is {reason!r}, but {answered[0]} has an answer"
        if not (row["width"] and row["height"] and row["brightness"]):
            yield f"reason is {reason!r}, but width, height or brightness is empty"
    if row["width"] and row["height"]:
        yield from _size(row, schema.gate.limits)
    if row["brightness"]:
        yield from _exposure(float(row["brightness"]), flags, schema.gate.limits)


def _size(row: Mapping[str, str], limits: Limits) -> Iterator[str]:
    broken = ruled_out_by_size(int(row["width"]), int(row["height"]), limits)
    expected = broken[0].value if broken else ""
    if row["reason"] != expected and (expected or row["reason"] in (Reason.TOO_SMALL, Reason.EXTREME_ASPECT)):
        yield f"reason is {row['reason']!r}, width and height give {expected!r}"


def _exposure(brightness: float, flags: set[str], limits: Limits) -> Iterator[str]:
    """Check both flags; what is white over too large a part may be overexposed at any brightness."""
    for flag, beyond in ((Flag.OVEREXPOSED, brightness - limits.bright), (Flag.UNDEREXPOSED, limits.dark - brightness)):
        if beyond > ROUNDED and flag not in flags:
            yield f"flags lacks {flag}, which brightness {brightness:.6f} gives"
    if Flag.UNDEREXPOSED in flags and limits.dark - brightness < -ROUNDED:
        yield f"flags has {Flag.UNDEREXPOSED}, but brightness is {brightness:.6f}"
