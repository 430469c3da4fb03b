"""The first eleven of EfficientNet-Lite0's sixteen blocks: inverted residuals, as small devices run them.

Tan & Le 2019 (https://arxiv.org/abs/1905.11946) in the variant that Google published in 2020 for fixed point, hence the
bounded rectifiers. All of its weights learn, whatever they start from. The last five blocks and the layer of 1,280
filters have four fifths of its weights and would see maps of 4 x 4 of a plane of 128 pixels: they learn by heart.
At 128 pixels: 0.16 GFLOP an image, a multiply-add counted as two; 0.72 million weights.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxr.core.errors import WeightsError
from cxr.models.backend import keras
from cxr.models.layers import BatchNormalization, network, plane_input
from cxr.models.pretrained import Tensor, read_tensors

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


MOMENTUM = 0.95  # of the running averages; published ones are worth more than those of a network that begins anew
EPSILON = 1e-3  # as published
STEM = 32  # filters
# Repeats, side of the depthwise kernel, stride of the first, expansion, filters.
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112))


@dataclass(frozen=True, slots=True)
class Block:
    """An inverted residual.

    Attributes:
        name: What the names of its layers begin with.
        size: Side of the depthwise kernel.
        strides: Of the depthwise convolution.
        expansion: Factor on the filters between its ends; at 1 nothing is expanded.
        filters: At its end.
    """

    name: str
    size: int
    strides: int
    expansion: int
    filters: int


def blocks() -> Iterator[Block]:
    """Yield the blocks in order."""
    number = 0
    for repeats, size, strides, expansion, filters in STAGES:
        for repeat in range(repeats):
            yield Block(f"block{number}", size, 1 if repeat else strides, expansion, filters)
            number += 1


def build(plane_side: int, side: int, classes: int, dropout: float, imagenet: Path | None = None) -> keras.Model:
    """Build the network; `imagenet` is the file of published weights, None draws random ones."""
    planes, pixels = plane_input(plane_side, side)
    x = keras.layers.Rescaling(1 / 128, offset=-127 / 128, name="centre")(pixels)  # as published, each colour alike
    x = _bounded(_normalised(_convolution(STEM, 3, "stem", strides=2)(x), "stem"))
    for block in blocks():
        x = _residual(x, block)
    model = network(planes, x, classes, dropout)
    if imagenet:
        load_published(model, imagenet)
    return model


def _residual(x: keras.KerasTensor, block: Block) -> keras.KerasTensor:
    before, filters = x, x.shape[-1]
    if block.expansion > 1:
        filters *= block.expansion
        name = f"{block.name}_expand"
        x = _bounded(_normalised(_convolution(filters, 1, name)(x), name))
    name = f"{block.name}_depthwise"
    depthwise = keras.layers.DepthwiseConv2D(
        block.size,
        strides=block.strides,
        padding="same",
        use_bias=False,
        depthwise_initializer=_he_depthwise(filters),
        name=name,
    )
    x = _bounded(_normalised(depthwise(x), name))
    name = f"{block.name}_project"
    x = _normalised(_convolution(block.filters, 1, name)(x), name)
    return keras.layers.Add(name=f"{block.name}_add")([x, before]) if x.shape == before.shape else x


def _convolution(filters: int, size: int, name: str, strides: int = 1) -> keras.layers.Conv2D:
    return keras.layers.Conv2D(
        filters, size, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )


def _he_depthwise(channels: int) -> keras.initializers.Initializer:
    """Return He's initialisation of a depthwise kernel, of which Keras counts all channels as inputs of each output."""
    return keras.initializers.VarianceScaling(2.0 * channels, "fan_in", "truncated_normal")


def _normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, name=f"{name}_norm")(x)


def _bounded(x: keras.KerasTensor) -> keras.KerasTensor:
    return keras.layers.ReLU(6.0)(x)
