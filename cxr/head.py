"""The last linear layer of an exported network, read from its graph."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.errors import ModelError
from cxr.network import openvino_module

AGREEMENT = 1e-3  # of logits, as a share of the largest magnitude where above one


@dataclass(frozen=True, slots=True)
class Head:
    """What turns pooled features into logits: features @ weights + bias.

    Attributes:
        weights: float32 (d, classes).
        bias: float32 (classes,).
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]


def read_head(xml: Path, features: NDArray[np.float32], logits: NDArray[np.float32]) -> Head:
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


def _walk_back(xml: Path) -> Head:
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
    return Head(weights, np.broadcast_to(bias.reshape(-1), weights.shape[1:]))


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
