"""An exported network, compiled: its logits, its linear head, its class activation maps."""

import hashlib
import sys
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import floor, gcd
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr.core.errors import ModelError, Reason
from cxr.core.files import sha256_of
from cxr.core.image import Plane
from cxr.core.process import available_cores, limit_error, short_of_memory

DESCRIPTION_FILE = "model.json"
NETWORK_FILE = "network.xml"
NETWORK_WEIGHTS_FILE = "network.bin"
# Of a network that learnt from validation too: answers of others that did not, which decisions are fitted on.
CALIBRATION_FILE = "calibration.csv"
ENSEMBLE = "ensemble"  # name, stage, section and folder of the network that joins others
LAST_LAYER = "last_layer"  # name of a network whose last layer was fitted anew


ONE_RUN = "take the whole folder from one run"


def fingerprint(folder: Path) -> str:
    """Return the SHA-256 over the digests of graph and weights of the exported network in `folder`."""
    return files_digest(folder, (NETWORK_FILE, NETWORK_WEIGHTS_FILE), "exported network")


def files_digest(folder: Path, names: Iterable[str], what: str) -> str:
    """Return the SHA-256 over the digests of files in `folder`.

    Raises:
        ModelError: One cannot be read; `what` says what they are together.
    """
    try:
        digests = [sha256_of(folder / name) for name in names]
    except OSError as error:
        raise ModelError(f"{folder} has no {what} ({error.strerror}: {error.filename}); {ONE_RUN}") from error
    return hashlib.sha256("".join(digests).encode()).hexdigest()


Floats = NDArray[np.float32]
Stored = Literal["float32", "float16"]  # weights in the file; whatever it is, float32 is computed with

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
        members: As in `NetworkOutputs`.
    """

    logits: Floats
    features: Floats
    feature_map: Floats
    members: Floats | None = None


@dataclass(frozen=True, slots=True)
class NetworkOutputs:
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
            LimitError: There is too little memory, or there are too few threads.
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

    def screen(self, planes: Plane) -> NetworkOutputs:
        """Return the logits of `predict`, and of an ensemble those of its members, in one run of the network."""
        if not self.has_members:
            return NetworkOutputs(self.logits(planes), None)
        logits, members = self._run(planes, "logits", MEMBERS)
        return NetworkOutputs(logits, members)

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
            _shrink_by_convolution(model, openvino.opset13)
            self._compiled = core.compile_model(model, "CPU", options)
        except (RuntimeError, MemoryError) as error:
            unreadable = ModelError(f"{xml} is not a network that OpenVINO can read; export it again")
            raise limit_error(error, f"to load {xml}") or unreadable from error


# What the graph of a `Resizing` layer says.
PLAIN_BILINEAR = {"mode": "linear_onnx", "coordinate_transformation_mode": "half_pixel", "antialias": False}
MOST_PHASES = 8  # of an axis: beyond, a kernel is large and nearly all of it nought


def _shrink_by_convolution(model: Any, operations: Any) -> None:
    """Replace the bilinear shrinking of a graph's planes by a strided convolution, of which the pixels are the same.

    They differ by rounding alone. The runtime's own interpolation takes a seventh of the time of the packaged network
    and a third of its gate's, the convolution a quarter of that. Any other interpolation stays.

    Args:
        model: Of OpenVINO; changed in place, where its shapes are fixed.
        operations: One of its sets, such as `openvino.opset13`.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Interpolate" and (sides := _shrunk_sides(node)):
            shrunk = _convolved(node.input_value(0), *sides, operations)
            for target in node.output(0).get_target_inputs():
                target.replace_source_output(shrunk)
    model.validate_nodes_and_infer_types()


def _shrunk_sides(node: Any) -> tuple[int, int] | None:
    """Return the sides before and after, in pixels, of an interpolation that shrinks square planes; None for others."""
    attributes, ends = node.get_attributes(), (node.input_value(0), node.output(0))
    is_plain = all(attributes.get(name) == value for name, value in PLAIN_BILINEAR.items())
    if not is_plain or not all(end.get_partial_shape().is_static for end in ends):
        return None
    before, after = (list(end.get_shape()) for end in ends)
    large, small = before[1], after[1]
    squares = before[1:] == [large, large, 1] and after[1:] == [small, small, 1]
    return (large, small) if squares and small < large and small // gcd(large, small) <= MOST_PHASES else None


def _convolved(planes: Any, before: int, after: int, operations: Any) -> Any:
    """Return planes (n, after, after, 1) of (n, before, before, 1): a channel for each phase, then put in place."""
    count, weights = planes.get_shape()[0], _phase_weights(before, after)
    phases, step = weights.shape
    kernel = np.einsum("ip,jq->ijpq", weights, weights).reshape(phases**2, 1, step, step)
    channel_first = operations.reshape(planes, [count, 1, before, before], special_zero=False)
    shrunk = operations.convolution(channel_first, kernel, [step, step], [0, 0], [0, 0], [1, 1])
    if phases > 1:
        shrunk = operations.depth_to_space(shrunk, "blocks_first", phases)
    return operations.reshape(shrunk, [count, after, after, 1], special_zero=False).output(0)


def _phase_weights(before: int, after: int) -> Floats:
    """Return what each pixel of a row that shrinks from `before` to `after` pixels takes of those before.

    Returns:
        float32 (phases, step) for the stretch after which it repeats: `step` pixels become `phases`. Rows sum to one;
        a pixel's centre lies at its half.
    """
    step, phases = before // gcd(before, after), after // gcd(before, after)
    weights = np.zeros((phases, step), np.float32)
    for phase in range(phases):
        centre = (phase + 0.5) * step / phases - 0.5
        first = floor(centre)
        weights[phase, first] = 1 - (centre - first)
        if centre > first:
            weights[phase, first + 1] = centre - first
    return weights


# What one file of 300 x 300 pixels costs before the network, in the network's own currency: on one core, decoding takes
# as long as a quarter of a GFLOP (benchmarks/screening.py).
DECODING_GFLOP = 0.25


def network_threads(gflop: float, cores: int) -> int:
    """Return the number of threads for a network of `gflop` an image beside decoding threads on all `cores`.

    Each thread computes batches of its own, so that none waits for another; the rest of the cores decode.
    """
    return max(1, round(cores * gflop / (gflop + DECODING_GFLOP)))


Failure = tuple[Reason, str]  # why a picture has no result, and the same for people
Name = TypeVar("Name", bound=Hashable)
Result = TypeVar("Result")


def predict_with_fallback(
    planes: Mapping[Name, Plane],
    compute: Callable[[Mapping[Name, Plane]], Sequence[Result]],
) -> dict[Name, Result | Failure]:
    """Compute for planes by name; where that fails on several together, each is tried alone.

    Args:
        planes: uint8 (side, side) each.
        compute: Gives a result for each plane, in their order.

    Returns:
        For each name the result, or why there is none.

    Raises:
        ModelError: As `compute` does: the network is not what its description says.
    """
    if not planes:
        return {}
    try:
        results = compute(planes)
    except ModelError:
        raise
    except Exception as error:  # a runtime raises anything; only the picture that causes it may lose its result
        text = str(error) or type(error).__name__
        if len(planes) == 1:
            return dict.fromkeys(planes, (Reason.MEMORY if short_of_memory(error) else Reason.NETWORK, text))
        alone = (predict_with_fallback(dict([one]), compute) for one in planes.items())
        return {name: result for one in alone for name, result in one.items()}
    return dict(zip(planes, results, strict=True))


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

    # The first view of a tensor as an array makes tables of the binding; two threads that make them at the same time
    # wait for each other for ever, one with the interpreter's lock and one with the tables'.
    _ = openvino.Tensor(np.zeros(1, np.uint8)).data
    return openvino


AGREEMENT = 1e-3  # of logits, as a share of the largest magnitude where above one


@dataclass(frozen=True, slots=True)
class LinearHead:
    """What turns pooled features into logits: features @ weights + bias.

    Attributes:
        weights: float32 (d, classes).
        bias: float32 (classes,).
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]


def read_linear_head(xml: Path, features: NDArray[np.float32], logits: NDArray[np.float32]) -> LinearHead:
    """Read the head of the network in `xml` and prove it on saved outputs.

    Args:
        xml: An exported network with the output `logits`.
        features: float32 (n, d), pooled.
        logits: float32 (n, classes), of the same images.

    Raises:
        ModelError: The graph does not end in one linear layer, or that layer does not give these logits.
    """
    head = _walk_back(xml)
    if head.weights.shape != (features.shape[1], logits.shape[1]):
        raise ModelError(
            f"{xml} ends in a layer of shape {head.weights.shape}; expected {(features.shape[1], logits.shape[1])} "
            f"from its features and logits; run: dvc repro"
        )
    difference = np.abs(features @ head.weights + head.bias - logits).max()
    if not difference <= AGREEMENT * max(1.0, float(np.abs(logits).max())):
        raise ModelError(
            f"the last layer of {xml} differs from the saved logits by {difference:.2e}; they are of another "
            f"network, or it does not end in pooling and one linear layer; run: dvc repro"
        )
    return head


def _walk_back(xml: Path) -> LinearHead:
    try:
        model = openvino_module().Core().read_model(str(xml))
        result = model.output("logits").get_node()
    except RuntimeError as error:
        raise ModelError(f"{xml} is no network with an output named logits; export it again") from error
    last = result.input_value(0)
    bias = np.zeros(1, np.float32)
    if last.get_node().get_type_name() == "Add":  # a bias of zeros is left out by the export
        bias = _constant(last.get_node().input_value(1), xml)
        last = last.get_node().input_value(0)
    product = _node(last, "MatMul", xml)
    weights = _constant(product.input_value(1), xml)
    weights = weights.T if product.get_attributes()["transpose_b"] else weights
    return LinearHead(weights, np.broadcast_to(bias.reshape(-1), weights.shape[1:]))


def _constant(output: Any, xml: Path) -> NDArray[np.float32]:
    if output.get_node().get_type_name() == "Convert":  # of weights that are stored as float16
        output = output.get_node().input_value(0)
    return np.array(_node(output, "Constant", xml).data, np.float32)


def _node(output: Any, kind: str, xml: Path) -> Any:
    node = output.get_node()
    if node.get_type_name() != kind:
        raise ModelError(
            f"{xml}: before its logits stands {node.get_type_name()} where {kind} was expected; class activation maps "
            f"need a network that ends in one linear layer"
        )
    return node


Maps = NDArray[np.float32]
Labels = NDArray[np.int64]

BLOCK = 64  # planes at a time: feature maps are large


def class_maps(network: Network, head: LinearHead, planes: Plane, classes: Labels) -> Maps:
    """Return the map of each plane for the class named beside it.

    Args:
        network: Gives the last feature map.
        head: Its last layer.
        planes: uint8 (n, side, side).
        classes: int64 (n,), class numbers.

    Returns:
        float32 (n, side, side), from 0 to 1 where a map is not blank: divided by its largest value, enlarged
        bilinearly from the feature map's size. Blank where nothing speaks for the class.
    """
    parts = []
    for start in range(0, len(planes), BLOCK):
        block, wanted = planes[start : start + BLOCK], classes[start : start + BLOCK]
        feature_map = network.predict(block).feature_map
        maps = weighted(feature_map, head.weights[:, wanted])
        parts.append(np.stack([enlarge(scaled(each), planes.shape[1]) for each in maps]))
    return np.concatenate(parts)


def weighted(feature_map: NDArray[np.float32], weights: NDArray[np.float32]) -> Maps:
    """Return the rectified weighted sum over d, float32 (n, h, w), of (n, h, w, d) and weights (d, n)."""
    return np.asarray(np.maximum(np.einsum("nhwd,dn->nhw", feature_map, weights), 0), np.float32)


def scaled(each: Maps) -> Maps:
    """Divide a map by its largest value; a blank one stays blank. Not finite values stay what they are."""
    largest = each.max()
    return np.asarray(each / largest) if largest > 0 else each


def enlarge(each: Maps, side: int) -> Maps:
    """Resize float32 (h, w) bilinearly to (side, side)."""
    return np.asarray(Image.fromarray(each).resize((side, side), Image.Resampling.BILINEAR))
