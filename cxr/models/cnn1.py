"""A residual network of seven convolutions on one grey channel, small enough to screen folders with.

Strided convolutions halve the map, residual ones refine it (He et al. 2016, https://arxiv.org/abs/1512.03385).
At 128 pixels: 0.078 GFLOP an image, a multiply-add counted as two; 0.21 million weights.
"""

from cxr.models import Architecture, SmallParams
from cxr.models.layers import convolution, cut_margin, keras, network, plane_input, to_unit_scale, widened


def build(plane_side: int, classes: int, recipe: SmallParams) -> keras.Model:
    """Build the untrained network; see `cxr.models.layers.network` for its outputs."""
    planes, pixels = plane_input(plane_side, recipe.side)
    x = to_unit_scale(cut_margin(pixels, recipe.margin), standardise=recipe.standardise)
    x = convolution(x, widened(16, recipe.widen), size=5, strides=2)
    for filters in (32, 64, 96):
        x = convolution(x, widened(filters, recipe.widen), strides=2)
        x = keras.layers.Add()([x, convolution(x, widened(filters, recipe.widen))])
    return network(planes, x, classes, recipe.dropout)


ARCHITECTURE = Architecture(build, SmallParams)
