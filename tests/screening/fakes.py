"""Models without OpenVINO: their answer is a plain function of the plane, so tests can compute it by hand."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cxr.core.image import Plane
from cxr.inference.decisions import DecisionRecord, Decisions, parse_decisions
from cxr.inference.gate import Limits, Sign
from cxr.inference.network import NetworkOutputs
from cxr.screening.schema import ModelRecord
from tests.decision_forms import CLASSES, NETWORK, decisions_form

SIDE = 16

Logits = NDArray[np.float32]


def by_brightness(planes: Plane) -> Logits:
    """One logit per third of the plane: its mean, in units of 64 grey levels."""
    thirds = np.array_split(planes.astype(np.float64), len(CLASSES), axis=2)
    return np.stack([third.mean(axis=(1, 2)) / 64 for third in thirds], axis=1).astype(np.float32)


@dataclass
class FakeNetwork:
    answer: Callable[[Plane], Logits] = by_brightness
    threads: int = 1
    batches: list[int] = field(default_factory=list)
    members: Callable[[Plane], Logits] | None = None

    def screen(self, planes: Plane) -> NetworkOutputs:
        self.batches.append(len(planes))
        return NetworkOutputs(self.answer(planes), self.members(planes) if self.members else None)


LIMITS = Limits(min_side=10, max_aspect=4, max_colour=0.1, min_spread=0.02, dark=0.1, bright=0.8, max_clipped=0.4)


def by_corner(planes: Plane) -> NDArray[np.float64]:
    """One score per sign: grey levels of the left column, from the second row on, in units of 255."""
    return planes[:, 1 : 1 + len(Sign), 0].astype(np.float64) / 255


@dataclass
class FakeGate:
    judge: Callable[[Plane], NDArray[np.float64]] = by_corner
    limits: Limits = LIMITS
    thresholds: dict[Sign, float] = field(default_factory=lambda: dict.fromkeys(Sign, 0.9))
    sha256: str = "6a" * 32
    plane_side: int = SIDE
    batches: list[int] = field(default_factory=list)

    def scores(self, planes: Plane) -> NDArray[np.float64]:
        self.batches.append(len(planes))
        return self.judge(planes)


@dataclass
class FakeModel:
    network: FakeNetwork = field(default_factory=FakeNetwork)
    classes: tuple[str, ...] = CLASSES
    plane_side: int = SIDE
    synthetic: bool = False
    identity: str = "fake-0123456789ab"
    network_sha256: str = NETWORK
    description_sha256: str = "23" * 32
    decisions: Decisions | None = None
    operating_point: str = ""
    gate: FakeGate | None = None
    description: dict[str, object] = field(
        default_factory=lambda: {
            "name": "fake",
            "data": {"images": 140, "images_per_split": {"train": 90}, "synthetic_images": 0, "sha256": "ab" * 32},
        }
    )

    @property
    def sides(self) -> tuple[int, ...]:
        return (self.plane_side, *([self.gate.plane_side] if self.gate else []))

    @property
    def members(self) -> tuple[str, ...]:
        return tuple(self.description.get("members", ()))  # type: ignore[arg-type]


def model_record(
    name: str, identity: str, classes: tuple[str, ...], decided: DecisionRecord | None = None
) -> ModelRecord:
    """What a table says of a network that nobody has."""
    return ModelRecord(
        identity, name, NETWORK, "23" * 32, classes, (), SIDE, decided, None, synthetic=False, commit=None
    )


def deciding_model(point: str = "covid_sens95", **changes: object) -> FakeModel:
    """A stand-in with decisions; `changes` replace members of their form."""
    model = FakeModel(decisions=parse_decisions(decisions_form(**changes)), operating_point=point)
    model.description["decisions"] = {"sha256": "45" * 32}
    return model
