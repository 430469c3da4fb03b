"""One graph of several exported networks: they share the planes, and their logits are averaged by one linear layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np

from cxr.errors import ModelError
from cxr.head import Head
from cxr.network import MEMBERS, openvino_module

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Member:
    """A network within the graph; its outputs are OpenVINO's.

    Attributes:
        head: Its last layer.
        logits: (n, classes).
        features: (n, d).
        feature_map: (n, h, w, d).
    """

    head: Head
    logits: Any
    features: Any
    feature_map: Any

    @property
    def size(self) -> Size:
        """Height and width of the feature map."""
        height, width = (self.feature_map.get_partial_shape()[axis].get_length() for axis in (1, 2))
        return int(height), int(width)


def joined(networks: Mapping[str, Path], heads: Sequence[Head], side: int) -> Any:
    """Return the graph, an openvino.Model.

    Its outputs: `logits`, one linear layer over `features`, the members' side by side, with the members' heads divided
    by their number; `feature_map`, the members' side by side, smaller ones enlarged by area; `members`, their
    own logits, float32 (n, members, classes).

    Args:
        networks: The exported networks by name, in order.
        heads: Their last layers.
        side: Of the planes that they take.

    Raises:
        ModelError: A file is no exported network.
    """
    openvino = openvino_module()
    ops = openvino.opset13
    planes = ops.parameter([-1, side, side, 1], np.uint8, name="planes")
    members = [_member(xml, head, planes) for xml, head in zip(networks.values(), heads, strict=True)]
    features = ops.concat([one.features for one in members], axis=1)
    weights = np.concatenate([one.head.weights for one in members]) / np.float32(len(members))
    bias = np.mean([one.head.bias for one in members], axis=0, dtype=np.float32)
    logits = ops.add(ops.matmul(features, ops.constant(weights), False, False), ops.constant(bias))
    own = [ops.unsqueeze(one.logits, ops.constant(np.int64(1))) for one in members]
    outputs = {
        "logits": logits,
        "features": features,
        "feature_map": ops.concat(_of_one_size(members), axis=3),
        MEMBERS: ops.concat(own, axis=1),
    }
    results = [ops.result(node.output(0)) for node in outputs.values()]
    graph = openvino.Model(results, [planes], "ensemble")
    _name(graph, outputs, planes)
    return graph


def _member(xml: Path, head: Head, planes: Any) -> Member:
    try:
        model = openvino_module().Core().read_model(str(xml))
        logits, features, feature_map = (
            model.output(name).get_node().input_value(0) for name in ("logits", "features", "feature_map")
        )
        model.input().replace(planes.output(0))
    except RuntimeError as error:
        raise ModelError(f"{xml} is no network of a train stage ({error}); train it again: dvc repro") from error
    return Member(head, logits, features, feature_map)


def _of_one_size(members: Sequence[Member]) -> list[Any]:
    largest = (max(one.size[0] for one in members), max(one.size[1] for one in members))
    return [_enlarged(_enlarged(one.feature_map, 1, largest[0]), 2, largest[1]) for one in members]


def _enlarged(feature_map: Any, axis: int, length: int) -> Any:
    """Lay the map over a finer grid by area, so that the mean over it, which is the features, stays what it is.

    Each row is repeated, and where the grids' lines do not meet, each new row is the mean of those that it covers. All
    constants are whole numbers: `randomised_network` takes others for weights.
    """
    ops = openvino_module().opset13
    own = feature_map.get_partial_shape()[axis].get_length()
    if own == length:
        return feature_map
    covered = own // gcd(own, length)
    rows = ops.constant(np.arange(length * covered, dtype=np.int64) * own // (length * covered))
    repeated = ops.gather(feature_map, rows, ops.constant(np.int64(axis)))
    if covered == 1:
        return repeated.output(0)
    shape = [0, *(feature_map.get_partial_shape()[place].get_length() for place in (1, 2, 3))]  # 0: as many images
    shape[axis : axis + 1] = [length, covered]
    grouped = ops.reshape(repeated, ops.constant(np.array(shape, np.int64)), True)
    return ops.reduce_mean(grouped, ops.constant(np.int64(axis + 1)), False).output(0)


def _name(graph: Any, outputs: Mapping[str, Any], planes: Any) -> None:
    """Name everything by its place: names that the runtime makes up, and those of the members, would not be unique."""
    for place, node in enumerate(graph.get_ordered_ops()):
        node.set_friendly_name(f"{place:04d}_{node.get_type_name()}")
        for output in node.outputs():
            output.get_tensor().set_names(set())
    planes.set_friendly_name("planes")
    planes.output(0).get_tensor().set_names({"planes"})
    for name, node in outputs.items():
        node.output(0).get_tensor().set_names({name})
