"""What the summary says of the gate, of decisions, of pictures that the network was trained on, and of drift."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from cxr.decisions import ReferReason
from cxr.errors import Reason
from cxr.flags import GATE_REASONS

if TYPE_CHECKING:
    from cxr.screening.tally import Tally

_WHY = {
    ReferReason.OUT_OF_DISTRIBUTION: "they are unlike what was learnt from",
    ReferReason.SEVERAL_CLASSES: "several classes are possible",
    ReferReason.EMPTY_SET: "no class fits",
    ReferReason.DISAGREEMENT: "the members of the ensemble differ",
}


def gate_line(tally: "Tally") -> Text:
    """Give the line that says what judged pictures before the networks, and how many it rejected for which reason."""
    gate = tally.schema.gate
    if gate is None:
        return Text("gate     none: every picture that can be decoded is answered, radiograph or not")
    rejected = [(reason, tally.reasons[reason]) for reason in Reason if reason in GATE_REASONS]
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in rejected if count)
    total = sum(count for _, count in rejected)
    return Text(f"gate     {gate.sha256[:12]} rejected {total:,} files{f': {reasons}' if reasons else ''}")


def decision_lines(tally: "Tally") -> Iterator[Text]:
    """Give the lines, a network at a time; none for a network without decisions."""
    several = len(tally.schema.heads) > 1
    for number, head in enumerate(tally.schema.heads):
        whose = f"{head.identity}: " if several else ""
        reasons = tally.refer_reasons[number]
        if reasons:
            why = ", ".join(f"{reasons[reason]:,} because {_WHY[reason]}" for reason in ReferReason if reasons[reason])
            yield Text(f"refer    {whose}{reasons.total():,} files are for a person to decide: {why}")
        if trained := tally.in_training_set[number]["yes"]:
            yield _warning(f"{whose}{trained:,} files are pictures it was trained on; their answers show nothing")
        drift = tally.drift[number]
        if drift:
            odd = any(one.far_off for one in drift.comparisons)
            for sentence in drift.sentences():
                yield _warning(f"{whose}{sentence}") if odd else Text(f"drift    {whose}{sentence}")


def _warning(sentence: str) -> Text:
    return Text.assemble(("warning: ", "yellow"), sentence)
