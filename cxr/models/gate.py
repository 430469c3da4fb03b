"""The gate's network: what a plane shows besides disease, and how far it lies from the radiographs of the training.

Strided convolutions with one residual each, as in cnn1, on a quarter of the pixels. At 64 pixels below 0.01 GFLOP an
image, a multiply-add counted as two. The distance is Mahalanobis's, of features of two depths (Lee et al. 2018,
https://arxiv.org/abs/1807.03888): a softmax is as sure of a cat as of a chest.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.inference.gate import SCORES, Sign
from cxr.models.layers import convolution, keras, plane_input, to_unit_scale

LEARNED = tuple(sign for sign in Sign if sign is not Sign.OUT_OF_DISTRIBUTION)
STEM = 8
WIDTHS = (24, 40, 64)
SMALLEST = 1e-6  # below a variance, so that a root has a slope


@dataclass(frozen=True, slots=True)
class Whitening:
    """An affine map after which the known features have mean zero, and a length of about one at their far end.

    Attributes:
        matrix: float64 (d, d).
        offset: float64 (d,).
    """

    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]


def build(plane_side: int, side: int, dropout: float) -> keras.Model:
    """Build the untrained network.

    Args:
        plane_side: Of the uint8 planes (n, plane_side, plane_side, 1) that it takes.
        side: Of what the convolutions see; the weights are the same for every `plane_side`.
        dropout: Share of features dropped while training.

    Returns:
        A model from planes to `logits` (n, len(LEARNED)), and to `shallow` and `deep`, features (n, d) of two depths.
    """
    planes, pixels = plane_input(plane_side, side)
    # Each picture by its own mean and deviation: exposure is judged elsewhere, and inversion stays visible.
    x = convolution(to_unit_scale(pixels, standardise=True), STEM, size=5, strides=2)
    depths = []
    for filters in WIDTHS:
        x = convolution(x, filters, strides=2)
        x = keras.layers.Add()([x, convolution(x, filters)])
        depths.append(x)
    shallow, deep = _moments(depths[0], "shallow"), _moments(depths[-1], "deep")
    dropped = keras.layers.Dropout(dropout, name="dropout")(deep)
    logits = keras.layers.Dense(len(LEARNED), dtype="float32", name="logits")(dropped)
    return keras.Model(planes, {"logits": logits, "shallow": shallow, "deep": deep})


def with_scores(model: keras.Model, shallow: Whitening, deep: Whitening) -> keras.Model:
    """Return the model from planes to `scores` (n, len(Sign)): probabilities, and the larger of the two distances."""
    probabilities = keras.layers.Activation("sigmoid", name="probabilities")(model.output["logits"])
    lengths = [
        _length(model.output[name], whitening, name) for name, whitening in (("shallow", shallow), ("deep", deep))
    ]
    distance = keras.layers.Maximum(name="distance")(lengths)
    return keras.Model(model.inputs, {SCORES: keras.layers.Concatenate(name=SCORES)([probabilities, distance])})


def _moments(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Return mean and root mean square of each channel over the picture, (n, 2 d)."""
    mean = keras.layers.GlobalAveragePooling2D(name=f"{name}_mean")(x)
    square = keras.layers.GlobalAveragePooling2D(name=f"{name}_square")(keras.layers.Multiply()([x, x]))
    return keras.layers.Concatenate(name=name)([mean, keras.ops.sqrt(square + SMALLEST)])


def _length(features: keras.KerasTensor, whitening: Whitening, name: str) -> keras.KerasTensor:
    layer = keras.layers.Dense(len(whitening.offset), trainable=False, name=f"{name}_whitened")
    white = layer(features)
    layer.set_weights([whitening.matrix.astype(np.float32), whitening.offset.astype(np.float32)])
    return keras.ops.sqrt(keras.ops.sum(white * white, axis=1, keepdims=True) + SMALLEST)
