"""A residual network of seven convolutions on one grey channel, small enough to screen folders with.

Strided convolutions halve the map, residual ones refine it (He et al. 2016, https://arxiv.org/abs/1512.03385).
At 128 pixels: 0.078 GFLOP an image, a multiply-add counted as two; 0.21 million weights.
"""

from cxr.models.layers import convolution, network, plane_input
from cxr.models.tf import keras


def build(plane_side: int, side: int, classes: int, dropout: float) -> keras.Model:
    """Build the untrained network; see `cxr.models.layers.network` for its outputs."""
    planes, pixels = plane_input(plane_side, side)
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="centre")(pixels)
    x = convolution(x, 16, size=5, strides=2)
    for filters in (32, 64, 96):
        x = convolution(x, filters, strides=2)
        x = keras.layers.Add()([x, convolution(x, filters)])
    return network(planes, x, classes, dropout)
