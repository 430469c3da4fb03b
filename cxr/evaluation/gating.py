"""What the gate says of the images of the split table, by the rules and in the order of `cxr-batch`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr.errors import ModelError, Reason
from cxr.evaluation.outputs import BLOCK, Texts
from cxr.flags import EXPOSURE_FLAGS, GATE_REASONS, SIGN_FLAGS, Flag
from cxr.gate import Gate, Sign
from cxr.images import ImageFacts
from cxr.limits import exposure_of, ruled_out
from cxr.planes import Plane

REASONS = tuple(reason for reason in Reason if reason in GATE_REASONS)
FLAGS = tuple(flag for flag in Flag if flag in EXPOSURE_FLAGS | SIGN_FLAGS)


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate says of n images.

    Attributes:
        reasons: str (n,), one of REASONS where no network answers; empty where they do.
        flags: bool (n, FLAGS), what it saw.
    """

    reasons: Texts
    flags: NDArray[np.bool_]

    @property
    def rejected(self) -> NDArray[np.bool_]:
        """Where no network answers, bool (n,)."""
        return np.asarray(self.reasons != "")

    @property
    def unusual(self) -> NDArray[np.bool_]:
        """What is unlike the images that the gate was fitted on, bool (n,)."""
        return self.flags[:, FLAGS.index(Flag.OUT_OF_DISTRIBUTION)]

    def where(self, chosen: NDArray[np.bool_]) -> Self:
        """Return the images that `chosen`, bool (n,), marks."""
        return replace(self, reasons=self.reasons[chosen], flags=self.flags[chosen])


def unjudged(images: int) -> Judged:
    """Return that there is no gate: nothing is rejected, nothing is marked."""
    return Judged(np.full(images, "", "<U1"), np.zeros((images, len(FLAGS)), np.bool_))


def judge_images(gate: Gate, table: pd.DataFrame, images: Plane) -> Judged:
    """Judge every row of a split table.

    Args:
        gate: Its limits come first, then its network.
        table: A split table.
        images: uint8 (n, side, side).

    Raises:
        ModelError: The gate was made for planes of another side, or gives scores that are no numbers.
    """
    if images.shape[1] != gate.plane_side:
        raise ModelError(
            f"the gate takes planes of {gate.plane_side} pixels, work/prepared has {images.shape[1]}; run: dvc repro"
        )
    rows: list[Mapping[Any, Any]] = list(table.to_dict("records"))
    parts = [_judge(gate, rows[start : start + BLOCK], images) for start in range(0, len(rows), BLOCK)]
    return Judged(np.array([reason for part in parts for reason in part[0]]), np.concatenate([p[1] for p in parts]))


def _judge(gate: Gate, rows: Sequence[Mapping[Any, Any]], images: Plane) -> tuple[list[str], NDArray[np.bool_]]:
    planes = np.ascontiguousarray(images[[row["index"] for row in rows]])
    scores = gate.scores(planes)
    if not np.isfinite(scores).all():
        raise ModelError("the gate's scores of some images are not numbers, or infinite; run: dvc repro train_gate")
    seen = scores >= [gate.thresholds[sign] for sign in Sign]
    reasons, flags = [], np.zeros((len(rows), len(FLAGS)), np.bool_)
    for number, (row, plane, signs) in enumerate(zip(rows, planes, seen, strict=True)):
        ruled = ruled_out(_facts(row), plane, gate.limits)
        found = {sign for sign, is_seen in zip(Sign, signs, strict=True) if is_seen}
        foreign = Reason.NOT_A_RADIOGRAPH if Sign.NOT_A_RADIOGRAPH in found else None
        reason = ruled[0] if ruled else foreign
        reasons.append(str(reason or ""))
        marked = exposure_of(plane, gate.limits) | (set() if reason else {Flag(sign.value) for sign in found})
        flags[number] = [flag in marked for flag in FLAGS]
    return reasons, flags


def _facts(row: Mapping[Any, Any]) -> ImageFacts:
    size = row["width"], row["height"]
    return ImageFacts(*size, row["mode"], row["bit_depth"], row["format"], colour=row["colour"])
