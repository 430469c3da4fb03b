"""What must hold for the decision in a row, as far as probabilities of six decimals can tell."""

from collections.abc import Iterator, Mapping

from cxr.decisions import NOT_SUSPECTED, REFER, ReferReason
from cxr.flags import Flag
from cxr.screening.applied import Applied
from cxr.screening.heads import DECISION_COLUMNS, EMPTY_SET, Head

ROUNDED = 1e-6  # a cell is off by at most 5e-7; decisions were made before rounding


def broken_decisions(row: Mapping[str, str], head: Head) -> Iterator[str]:
    """Give a clause for each rule that the decision cells of an answer break; the numbers are well formed."""
    words, decision, reason, trained = (row[f"{head.prefix}{name}"] for name in DECISION_COLUMNS)
    applied = head.applied
    if applied is None:
        if words or decision or reason or trained:
            yield f"{head.prefix}decision is {decision!r}, but {head.identity} has no decisions"
        return
    if trained not in ("", "yes", "no"):
        yield f"{head.prefix}in_training_set is {trained!r}; expected yes, no or nothing"
    members = words.split(" ") if words != EMPTY_SET else []
    if members != [name for name in head.classes if name in members]:
        yield f"{head.prefix}prediction_set is {words!r}; expected classes in order, or {EMPTY_SET}"
        return
    yield from _set(row, head, applied, members)
    yield from _decision(row, head, applied, members)


def unanswered(row: Mapping[str, str], head: Head) -> Iterator[str]:
    """Give a clause where a row without an answer of a network holds a decision of it."""
    for name in DECISION_COLUMNS:
        if row[f"{head.prefix}{name}"]:
            yield f"{head.prefix}{name} is {row[f'{head.prefix}{name}']!r}, but {head.prefix}prediction is empty"


def _set(row: Mapping[str, str], head: Head, applied: Applied, members: list[str]) -> Iterator[str]:
    for name, minimum in zip(head.classes, applied.minimum, strict=True):
        probability = float(row[f"{head.prefix}probability_{name}"])
        if (probability >= minimum) != (name in members) and abs(probability - minimum) > ROUNDED:
            verb = "lacks" if probability > minimum else "has"
            yield f"{head.prefix}prediction_set {verb} {name}, whose probability {probability:.6f} says otherwise"


def _decision(row: Mapping[str, str], head: Head, applied: Applied, members: list[str]) -> Iterator[str]:
    decision, reason = row[f"{head.prefix}decision"], row[f"{head.prefix}refer_reason"]
    expected = _refer_reason(members, unusual=Flag.OUT_OF_DISTRIBUTION in row["flags"].split())
    if not expected and reason == ReferReason.DISAGREEMENT:  # what the members answered is in no cell
        expected = reason
        if len(applied.members) < 2:
            yield f"{head.prefix}refer_reason is {reason!r}, but {head.identity} is no ensemble"
    if reason != expected:
        yield f"{head.prefix}refer_reason is {reason!r}, the prediction set and the flags give {expected!r}"
    suspected = applied.words[0]
    probability = float(row[f"{head.prefix}probability_{applied.target}"])
    word = REFER if expected else suspected if probability >= applied.threshold else NOT_SUSPECTED
    near = abs(probability - applied.threshold) <= ROUNDED and {decision, word} == {suspected, NOT_SUSPECTED}
    if decision != word and not near:
        yield f"{head.prefix}decision is {decision!r}, the probabilities give {word!r}"


def _refer_reason(members: list[str], *, unusual: bool) -> str:
    """Return the reason that the prediction set and the gate's flag give, the first of those that hold."""
    if unusual:
        return ReferReason.OUT_OF_DISTRIBUTION.value
    if len(members) != 1:
        return ReferReason.SEVERAL_CLASSES.value if members else ReferReason.EMPTY_SET.value
    return ""
