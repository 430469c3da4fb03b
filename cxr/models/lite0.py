"""The first eleven of EfficientNet-Lite0's sixteen blocks: inverted residuals, as small devices run them.

Tan & Le 2019 (https://arxiv.org/abs/1905.11946) in the variant that Google published in 2020 for fixed point, hence the
bounded rectifiers. All of its weights learn, whatever they start from. The last five blocks and the layer of 1,280
filters have four fifths of its weights and would see maps of 4 x 4 of a plane of 128 pixels: they learn by heart.
At 128 pixels: 0.16 GFLOP an image, a multiply-add counted as two; 0.72 million weights.

Recipe: in a release, which alone trains it, 20 epochs of batches of 32 at 120 pixels, AdamW up to 0.001, from the
weights of ImageNet. Expect: see docs/recipes.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from cxr.core.errors import WeightsError
from cxr.models import Architecture, FineTunedParams, PublishedWeights
from cxr.models.layers import BatchNormalization, keras, network, plane_input

# Where they come from, and how they were brought to these axes: weights/lite0/README.md.
PUBLISHED = PublishedWeights("imagenet.npz", md5="8ac313b2ee8b9bdcb0d3a5a3e8cf41b1")

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


def build(plane_side: int, classes: int, recipe: FineTunedParams, weights: Path | None = None) -> keras.Model:
    """Build the network; `weights` is the file of all but its last layer's, None draws random ones."""
    planes, pixels = plane_input(plane_side, recipe.side)
    x = keras.layers.Rescaling(1 / 128, offset=-127 / 128, name="centre")(pixels)  # as published, each colour alike
    x = _bounded(_normalised(_convolution(STEM, 3, "stem", strides=2)(x), "stem"))
    for block in blocks():
        x = _residual(x, block)
    model = network(planes, x, classes, recipe.dropout)
    if weights:
        load_arrays(model, weights)
    return model


def load_arrays(model: keras.Model, path: Path) -> None:
    """Set all weights but those of the last layer.

    Args:
        model: From `build`; changed in place.
        path: Arrays by the weights' own paths, such as `block3_expand/kernel`, as NumPy stores several in one file.

    Raises:
        WeightsError: It cannot be read, or its arrays are not those of this network, one for one.
    """
    weights = {weight.path: weight for layer in model.layers if layer.name != "logits" for weight in layer.weights}
    try:
        with np.load(path, allow_pickle=False) as file:
            found = dict(file)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise WeightsError(f"{path} cannot be read as arrays of NumPy ({error})") from error
    differing = sorted(name for name in weights.keys() | found.keys() if _shape(weights, name) != _shape(found, name))
    if differing:
        raise WeightsError(f"{path} is of another network: {', '.join(differing[:3])} are not the same in both")
    for name, weight in weights.items():
        weight.assign(found[name])


def _shape(arrays: Mapping[str, Any], name: str) -> tuple[int, ...] | None:
    return tuple(arrays[name].shape) if name in arrays else None


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


ARCHITECTURE = Architecture(build, FineTunedParams, PUBLISHED)
