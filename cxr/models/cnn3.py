"""A plain network of five convolution and pooling blocks on three channels, as most published notebooks use.

At 128 pixels: 0.13 GFLOP an image, a multiply-add counted as two; 0.21 million weights.
"""

from cxr.models import Architecture, SmallParams
from cxr.models.layers import convolution, cut_margin, keras, network, plane_input, to_rgb, to_unit_scale, widened


def build(plane_side: int, classes: int, recipe: SmallParams) -> keras.Model:
    """Build the untrained network; see `cxr.models.layers.network` for its outputs."""
    planes, pixels = plane_input(plane_side, recipe.side)
    x = to_unit_scale(to_rgb(cut_margin(pixels, recipe.margin)), standardise=recipe.standardise)
    for filters in (16, 32, 64, 96, 128):
        x = convolution(x, widened(filters, recipe.widen))
        x = keras.layers.MaxPooling2D()(x)
    return network(planes, x, classes, recipe.dropout)


ARCHITECTURE = Architecture(build, SmallParams)
