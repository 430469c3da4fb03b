"""An exported network, compiled: what evaluation measures and screening runs."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.errors import ModelError
from cxr.planes import Plane

Floats = NDArray[np.float32]

BATCH = 8  # what stays in the cache of a core: 32 takes a quarter more time, 1 as much
MEMBERS = "members"  # output of an ensemble alone


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a network says of n planes.

    Attributes:
        logits: float32 (n, classes), uncalibrated.
        features: float32 (n, d), the pooled last feature map.
        feature_map: float32 (n, h, w, d), the last feature map.
        members: As in `Screened`.
    """

    logits: Floats
    features: Floats
    feature_map: Floats
    members: Floats | None = None


@dataclass(frozen=True, slots=True)
class Screened:
    """What screening needs of n planes.

    Attributes:
        logits: float32 (n, classes), uncalibrated; of an ensemble the mean of its members'.
        members: float32 (n, members, classes), the logits of each member of an ensemble; None for a single network.
    """

    logits: Floats
    members: Floats | None


class Network:
    """A compiled network; float32 on every processor, so that an answer does not depend on the machine's bfloat16.

    It is compiled for one number of planes, and the last batch is filled up with black. With a shape known beforehand
    OpenVINO is a fifth faster, and a picture's answer is the same to the bit in batches of any size.
    """

    def __init__(self, xml: Path, threads: int = 0, batch: int = BATCH, pinned: bool = True) -> None:
        """Compile a network.

        Args:
            xml: As exported.
            threads: Of the runtime; 0 lets it choose.
            batch: Planes computed at once.
            pinned: Whether its threads stay on the cores that they begin on: a tenth quicker for one process alone.
                Of several on one machine, all would choose the same cores.

        Raises:
            ModelError: The file cannot be read.
        """
        self._xml, self._threads, self._pinned = xml, threads, pinned
        self._compile(batch)

    @property
    def batch(self) -> int:
        """Number of planes that are computed at once."""
        return self._batch

    def halve_batch(self) -> bool:
        """Compile again for half as many planes, which needs less memory; False where there is one already."""
        if self._batch == 1:
            return False
        self._compile(self._batch // 2)
        return True

    def predict(self, planes: Plane) -> Outputs:
        """Run the network on uint8 planes of shape (n, side, side), n at least 1, 0 black, 255 white."""
        return Outputs(*self._run(planes, "logits", "features", "feature_map", *([MEMBERS] * self.has_members)))

    def logits(self, planes: Plane) -> Floats:
        """Return float32 (n, classes), equal to those of `predict`, without copying the other outputs."""
        return self._run(planes, "logits")[0]

    def screen(self, planes: Plane) -> Screened:
        """Return the logits of `predict`, and of an ensemble those of its members, in one run of the network."""
        if not self.has_members:
            return Screened(self.logits(planes), None)
        logits, members = self._run(planes, "logits", MEMBERS)
        return Screened(logits, members)

    @property
    def has_members(self) -> bool:
        """Whether it is an ensemble that says what each of its members answers."""
        return any(MEMBERS in output.get_names() for output in self._compiled.outputs)

    def _run(self, planes: Plane, *names: str) -> list[Floats]:
        parts = [
            self._run_batch(planes[start : start + self._batch], names) for start in range(0, len(planes), self._batch)
        ]
        return [np.concatenate(arrays) if len(parts) > 1 else arrays[0] for arrays in zip(*parts, strict=True)]

    def _run_batch(self, planes: Plane, names: tuple[str, ...]) -> list[Floats]:
        padded = np.zeros((self._batch, *planes.shape[1:], 1), np.uint8)
        padded[: len(planes), ..., 0] = planes
        result = self._compiled(padded)
        # Copied: the runtime writes its next answer into the same memory.
        return [np.array(result[self._compiled.output(name)][: len(planes)]) for name in names]

    def _compile(self, batch: int) -> None:
        openvino = openvino_module()
        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": self._pinned}
        if self._threads:
            options["INFERENCE_NUM_THREADS"] = self._threads
        try:
            core = openvino.Core()
            model = core.read_model(str(self._xml))
            shape = model.input().partial_shape
            shape[0] = batch
            model.reshape(shape)
            self._compiled = core.compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise ModelError(f"{self._xml} is not a network that OpenVINO can read; export it again") from error
        self._batch = batch


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return probabilities of shape (n, classes) that sum to one over the last axis, computed in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def openvino_module() -> Any:
    """Import openvino without its telemetry client: nothing about a user's files leaves the machine."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    if "openvino" not in sys.modules:
        # Its __init__ also loads the converter, if it can: 30 ms at every start, for training alone.
        sys.modules["openvino.tools.ovc"] = None  # type: ignore[assignment]
        try:
            import openvino
        finally:
            del sys.modules["openvino.tools.ovc"]
    import openvino

    return openvino
