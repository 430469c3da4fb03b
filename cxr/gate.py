"""What stands before the networks: says of a picture whether it is an upright frontal chest radiograph like the known.

It sees planes alone. Whoever calls it compares pictures with its `limits` first, and decides what each sign means.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr.errors import ModelError
from cxr.gate_form import (
    GATE_FILE,
    GATE_FILES,
    GATE_FORM,
    GATE_NETWORK_FILE,
    GATE_WEIGHTS_FILE,
    ONE_RUN,
    Limits,
    Sign,
    gate_fingerprint,
    limits_form,
    network_fingerprint,
    read_form,
    read_limits,
    read_thresholds,
)  # fmt: skip
from cxr.network import Floats, Network
from cxr.planes import Plane

__all__ = [
    "GATE_FILE", "GATE_FILES", "GATE_FORM", "GATE_NETWORK_FILE", "GATE_WEIGHTS_FILE", "SCORES", "Gate", "GateNetwork",
    "Limits", "Sign", "gate_fingerprint", "limits_form", "load_gate", "network_fingerprint", "read_limits",
    "read_thresholds",
]  # fmt: skip

SCORES = "scores"  # output of the network


class Gate:
    """A compiled gate with its limits and thresholds; an answer depends on its plane alone."""

    def __init__(
        self, network: "GateNetwork", limits: Limits, thresholds: Mapping[Sign, float], side: int, sha256: str
    ):
        """Join what `load_gate` read.

        Args:
            network: Compiled.
            limits: Of the picture, before the network.
            thresholds: A sign is seen where its score is at least this.
            side: Of the planes that it takes, in pixels.
            sha256: Over its three files, see `gate_fingerprint`.
        """
        self.limits, self.thresholds, self.plane_side, self.sha256 = limits, dict(thresholds), side, sha256
        self._network = network

    def scores(self, planes: Plane) -> NDArray[np.float64]:
        """Return (n, len(Sign)) in the order of `Sign`, for uint8 planes of shape (n, side, side).

        Of the first five signs a probability; of the last a distance from the known radiographs, which has no upper
        end and is about one for the farthest of them.
        """
        return self._network.scores(planes).astype(np.float64)

    def signs(self, planes: Plane) -> list[tuple[Sign, ...]]:
        """Return for each of the planes (see `scores`) the signs that are seen in it, in the order of `Sign`."""
        thresholds = np.array([self.thresholds[sign] for sign in Sign])
        return [
            tuple(sign for sign, seen in zip(Sign, row, strict=True) if seen)
            for row in self.scores(planes) >= thresholds
        ]


class GateNetwork(Network):
    """The gate's network: one output, the scores."""

    def scores(self, planes: Plane) -> Floats:
        """Return float32 (n, len(Sign)) for uint8 (n, side, side)."""
        if not len(planes):
            return np.zeros((0, len(Sign)), np.float32)
        return self._run(planes, SCORES)[0]


def load_gate(folder: Path, threads: int = 0, pinned: bool = True) -> Gate:
    """Load the gate in `folder`: of a model, or as `train_gate` wrote it.

    Args:
        folder: With GATE_FILES.
        threads: As `pinned`, of `cxr.network.Network`.
        pinned: Whether threads stay on their cores.

    Raises:
        ModelError: A file is absent, is not what it should be, or is of another training than the others.
    """
    form = read_form(folder)
    network = form.inner("network").text("sha256", "[0-9a-f]{64}")
    if network != network_fingerprint(folder):
        raise ModelError(f"{form.where} describes another network than the {GATE_NETWORK_FILE} beside it; {ONE_RUN}")
    limits, thresholds, side = read_limits(form.inner("limits")), read_thresholds(form), form.count("image_side", 1)
    compiled = GateNetwork(folder / GATE_NETWORK_FILE, threads, pinned)
    _require_scores(compiled, folder, side)
    return Gate(compiled, limits, thresholds, side, gate_fingerprint(folder))


def _require_scores(network: GateNetwork, folder: Path, side: int) -> None:
    try:
        shape = network.scores(np.zeros((1, side, side), np.uint8)).shape
    except RuntimeError as error:
        raise ModelError(
            f"the network of the gate in {folder} does not take planes of {side} pixels; {ONE_RUN}"
        ) from error
    if shape != (1, len(Sign)):
        raise ModelError(f"the network of the gate in {folder} gives {shape[1:]} scores, not {len(Sign)}; {ONE_RUN}")
