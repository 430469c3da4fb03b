"""What the first network's gate says of pictures before any network answers: by name, as answers are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cxr.errors import ModelError, Reason
from cxr.flags import Flag
from cxr.gate import Limits, Sign
from cxr.images import ImageFacts
from cxr.limits import exposure_of, ruled_out
from cxr.planes import Plane
from cxr.screening.attempts import Failure, attempted
from cxr.screening.reading import Reading


class Judge(Protocol):
    """A gate; `cxr.gate.Gate` in production."""

    @property
    def limits(self) -> Limits:
        """Of pictures, before any network."""

    @property
    def thresholds(self) -> Mapping[Sign, float]:
        """A sign is seen where its score is at least this."""

    @property
    def sha256(self) -> str:
        """Over its files."""

    @property
    def plane_side(self) -> int:
        """Side in pixels of the planes that it takes."""

    def scores(self, planes: Plane) -> NDArray[np.float64]:
        """Return (pictures, signs), in the order of `Sign`, for uint8 planes of shape (pictures, side, side)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says of one picture.

    Attributes:
        reason: Why no network shall answer; None where they shall.
        detail: The number and the limit behind `reason`, for people.
        flags: What it saw.
    """

    reason: Reason | None = None
    detail: str = ""
    flags: frozenset[Flag] = frozenset()


def verdicts_of(readings: Mapping[str, Reading], gate: Judge, side: int) -> dict[str, Verdict]:
    """Judge decoded files by name: by rules first, and those that pass by the gate's network.

    Args:
        readings: Each has facts and planes of `side` and of the gate's own side.
        gate: Where it fails on a picture, that one alone has no answer.
        side: Of the planes that the limits are about: those of the column `brightness`.

    Raises:
        ModelError: The gate's output has another shape than pictures x signs.
    """
    flags = {name: exposure_of(reading.planes[side], gate.limits) for name, reading in readings.items()}
    ruled = {name: ruled_out(_facts(reading), reading.planes[side], gate.limits) for name, reading in readings.items()}
    left = {name: readings[name].planes[gate.plane_side] for name, failure in ruled.items() if failure is None}

    def compute(some: Mapping[str, Plane]) -> list[NDArray[np.float64]]:
        scores = gate.scores(np.stack(list(some.values())))
        if scores.shape != (len(some), len(Sign)):
            raise ModelError(
                f"the gate gave an array of shape {scores.shape} for {len(some)} pictures and {len(Sign)} signs; take "
                f"the whole model folder from one run"
            )
        return list(scores)

    seen = attempted(left, compute)
    return {
        name: Verdict(*failure, flags[name]) if failure else _seen(seen[name], gate.thresholds, flags[name])
        for name, failure in ruled.items()
    }


def _facts(reading: Reading) -> ImageFacts:
    assert reading.facts is not None, "only decoded files are judged"
    return reading.facts


def _seen(scores: NDArray[np.float64] | Failure, thresholds: Mapping[Sign, float], flags: frozenset[Flag]) -> Verdict:
    if isinstance(scores, tuple):
        return Verdict(scores[0], f"the gate failed: {scores[1]}", flags)
    if not np.isfinite(scores).all():
        return Verdict(Reason.NOT_FINITE, "the gate's output is not a number, or infinite", flags)
    signs = {sign: float(score) for sign, score in zip(Sign, scores, strict=True) if score >= thresholds[sign]}
    if Sign.NOT_A_RADIOGRAPH in signs:
        return Verdict(
            Reason.NOT_A_RADIOGRAPH,
            f"the gate scores it {signs[Sign.NOT_A_RADIOGRAPH]:.3f} as no chest radiograph; rejected from "
            f"{thresholds[Sign.NOT_A_RADIOGRAPH]:g} on",
            flags,
        )
    return Verdict(flags=flags | {Flag(sign.value) for sign in signs})
