"""An exported network, compiled: what evaluation measures and screening runs."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.errors import ModelError
from cxr.planes import Plane
from cxr.processor import available_cores

Floats = NDArray[np.float32]

# Planes computed together, always: other shapes take other kernels, which add in another order. What stays in the
# cache of a core: 32 take a quarter more time, 1 as much.
BATCH = 8
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

    On one class of processor a plane's answer depends on that plane alone, to the bit: every call of the runtime
    computes BATCH planes, the last ones black where there are fewer, on one thread. More threads compute more batches
    side by side; they never share one. A shape known beforehand is a fifth faster, too.
    """

    def __init__(self, xml: Path, threads: int = 0, pinned: bool = True) -> None:
        """Compile a network.

        Args:
            xml: As exported.
            threads: Batches that are computed side by side, each on a thread; 0: one for each core.
            pinned: Whether its threads stay on the cores that they begin on: a tenth quicker for one process alone.
                Of several on one machine, all would choose the same cores.

        Raises:
            ModelError: The file cannot be read.
        """
        self.threads = threads or available_cores()
        self._requests: list[Any] = []  # one for each batch that is computed at the same time
        self._compile(xml, pinned)

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
        batches = [planes[start : start + BATCH] for start in range(0, len(planes), BATCH)]
        abreast = min(self.threads, len(batches))
        while len(self._requests) < abreast:
            self._requests.append(self._compiled.create_infer_request())

        def every(first: int) -> list[list[Floats]]:
            return [self._run_batch(self._requests[first], batch, names) for batch in batches[first::abreast]]

        if abreast == 1:
            lanes = [every(0)]
        else:
            with ThreadPoolExecutor(abreast) as pool:
                lanes = list(pool.map(every, range(abreast)))
        parts = [lanes[number % abreast][number // abreast] for number in range(len(batches))]
        return [np.concatenate(arrays) if len(parts) > 1 else arrays[0] for arrays in zip(*parts, strict=True)]

    def _run_batch(self, request: Any, planes: Plane, names: tuple[str, ...]) -> list[Floats]:
        padded = np.zeros((BATCH, *planes.shape[1:], 1), np.uint8)
        padded[: len(planes), ..., 0] = planes
        result = request.infer(padded)
        # Copied: the runtime writes its next answer into the same memory.
        return [np.array(result[self._compiled.output(name)][: len(planes)]) for name in names]

    def _compile(self, xml: Path, pinned: bool) -> None:
        openvino = openvino_module()
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": pinned,
            "INFERENCE_NUM_THREADS": self.threads,
            "NUM_STREAMS": self.threads,  # a thread each, whatever the machine
        }
        try:
            core = openvino.Core()
            model = core.read_model(str(xml))
            shape = model.input().partial_shape
            shape[0] = BATCH
            model.reshape(shape)
            self._compiled = core.compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise ModelError(f"{xml} is not a network that OpenVINO can read; export it again") from error


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
