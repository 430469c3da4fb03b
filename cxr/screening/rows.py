"""One row of the table: what came out for one file. The contract is docs/results-csv.md."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from cxr.errors import Reason
from cxr.flags import GATE_REASONS, Flag

if TYPE_CHECKING:
    from cxr.decisions import Decision
    from cxr.images import ImageFacts

ELONGATED = 2.0  # longer side over shorter: no chest film or detector is as long


class Status(StrEnum):
    """Whether a file was screened: the closed vocabulary of the column `status`."""

    OK = "ok"
    REJECTED = "rejected"
    ERROR = "error"


# Read well, and not a single radiograph with defined black and white: trying again changes nothing.
REJECTING = GATE_REASONS | {Reason.MULTI_FRAME, Reason.TOO_LARGE, Reason.UNSUPPORTED, Reason.NOT_AN_IMAGE}


@dataclass(frozen=True, slots=True)
class Answer:
    """What one network says of one picture.

    Attributes:
        prediction: Class with the largest probability, of equal ones the first.
        probabilities: In the network's order, finite, with sum 1; calibrated where the network has decisions.
        decision: None where it has none.
        in_training_set: Whether the network was trained on this very picture; None where that is not known.
    """

    prediction: str
    probabilities: tuple[float, ...]
    decision: "Decision | None" = None
    in_training_set: bool | None = None

    @property
    def confidence(self) -> float:
        """The largest probability."""
        return max(self.probabilities)

    @property
    def margin(self) -> float:
        """The largest probability less the second largest."""
        first, second = sorted(self.probabilities, reverse=True)[:2]
        return first - second


@dataclass(frozen=True, slots=True)
class Row:
    """What came out for one file.

    Attributes:
        path: The cell that names it.
        reason: Why there is no answer; None for a screened file.
        detail: What went wrong, for people.
        answers: One for each network; None where that one has no answer.
        flags: In the order of `Flag`.
        format: Recognised by content; empty where unknown.
        facts: None where the file could not be decoded.
        brightness: Mean of the first network's plane, 0 black, 1 white; None where the file could not be decoded.
        sha256: Of the file; empty where it could not be read.
        attributes: DICOM attributes that were asked for.
    """

    path: str
    reason: Reason | None = None
    detail: str = ""
    answers: tuple[Answer | None, ...] = ()
    flags: tuple[Flag, ...] = ()
    format: str = ""
    facts: "ImageFacts | None" = None
    brightness: float | None = None
    sha256: str = ""
    attributes: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        """`ok` for a file with an answer of every network."""
        if self.reason is None:
            return Status.OK
        return Status.REJECTED if self.reason in REJECTING else Status.ERROR


def flags_of(facts: "ImageFacts", side: int, seen: Collection[Flag]) -> tuple[Flag, ...]:
    """Return what gives reason to doubt, in the order of `Flag`.

    Args:
        facts: Of the file.
        side: Of the planes that the network takes, in pixels.
        seen: What was seen in the plane.
    """
    shorter, longer = sorted((facts.width, facts.height))
    raised = {
        Flag.SMALL: shorter < side,
        Flag.ELONGATED: longer > ELONGATED * shorter,
        Flag.SYNTHETIC: facts.synthetic,
        Flag.LATERAL: facts.lateral,
    }
    return tuple(flag for flag in Flag if raised.get(flag) or flag in seen)
