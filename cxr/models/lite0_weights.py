"""Put the published ImageNet weights of EfficientNet-Lite0 into our network, each tensor to its layer.

The file is that of a port to PyTorch, which keeps kernels as (out, in, height, width).
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cxr.errors import WeightsError
from cxr.models.tf import keras
from cxr.models.torch_file import Tensor, read_tensors

# What lies behind the eleventh block, and how many batches each normalisation saw.
UNUSED = re.compile(r"_blocks\.1[1-5]\..+|_conv_head\..+|_bn1\..+|_fc\..+|.*\.num_batches_tracked")
NORMALISATION = ("weight", "bias", "running_mean", "running_var")
OUTER = {"stem": "_conv_stem", "stem_norm": "_bn0"}


def load_published(model: keras.Model, path: Path) -> None:
    """Set all weights but those of the last layer.

    Args:
        model: From `cxr.models.lite0`; changed in place.
        path: The published file.

    Raises:
        WeightsError: It cannot be read, or its tensors are not those of this network, one for one.
    """
    tensors = read_tensors(path)
    learned = [layer for layer in model.layers if layer.weights and layer.name != "logits"]
    wanted = {layer.name: published_names(layer.name) for layer in learned}
    asked = {name for names in wanted.values() for name in names}
    differing = asked ^ {name for name in tensors if not UNUSED.fullmatch(name)}
    if differing:
        raise WeightsError(f"{path} is of another network: {', '.join(sorted(differing)[:3])} are not in both")
    for name, names in wanted.items():
        _set(model.get_layer(name), [tensors[one] for one in names], path)


def published_names(layer: str) -> list[str]:
    """Return the names of a layer's tensors in the file, in the order of the layer's weights."""
    prefix = OUTER.get(layer) or ".".join(_within_block(layer))
    return [f"{prefix}.{name}" for name in NORMALISATION] if layer.endswith("_norm") else [f"{prefix}.weight"]


def _within_block(layer: str) -> Iterator[str]:
    block, part, *norm = layer.split("_")
    yield f"_blocks.{block.removeprefix('block')}"
    yield f"_bn{('expand', 'depthwise', 'project').index(part)}" if norm else f"_{part}_conv"


def _set(layer: keras.Layer, found: list[Tensor], path: Path) -> None:
    values = [_as_keras(layer, one) for one in found]
    if [value.shape for value in values] != [tuple(weight.shape) for weight in layer.weights]:
        raise WeightsError(f"{path} is of another network: the shapes of {layer.name} differ")
    layer.set_weights(values)


def _as_keras(layer: keras.Layer, tensor: Tensor) -> Tensor:
    """Bring a kernel to (height, width, in, out); the stem's is summed over colours, since grey has them alike."""
    if tensor.ndim != 4:
        return tensor
    if layer.name == "stem":
        tensor = tensor.sum(axis=1, keepdims=True)
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    return np.ascontiguousarray(tensor.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0)))
