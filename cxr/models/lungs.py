"""The lung segmenter's network: a small U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597).

Depthwise separable convolutions (Howard et al. 2017, https://arxiv.org/abs/1704.04861), and what comes across the U is
added, not put beside: at 96 pixels 0.014 GFLOP an image, a multiply-add counted as two. It answers on half of its own
side, enlarged: lungs have no finer edges.
"""

from cxr.inference.lungs import LUNGS
from cxr.models.layers import BATCH_MOMENTUM, BatchNormalization, convolution, keras, plane_input, to_unit_scale

STEM = 16
WIDTHS = (32, 48, 64)  # each on half the side of the one before
HALVINGS = 1 + len(WIDTHS)
MULTIPLE = 2**HALVINGS  # of which the side must be one


def build(plane_side: int, side: int) -> keras.Model:
    """Build the untrained network.

    Args:
        plane_side: Of the uint8 planes (n, plane_side, plane_side, 1) that it takes.
        side: Of what the convolutions see, a multiple of MULTIPLE.

    Returns:
        A model from planes to logits (n, plane_side, plane_side, 1), above zero in the lungs.
    """
    planes, pixels = plane_input(plane_side, side)
    # Each picture by its own mean and deviation: where lungs lie does not depend on exposure.
    x = _separable(convolution(to_unit_scale(pixels, standardise=True), STEM, size=5, strides=2), STEM)
    descent = []
    for filters in WIDTHS:
        descent.append(x)
        x = _separable(_separable(x, filters, strides=2), filters)
    for before in reversed(descent):
        filters = before.shape[-1]
        x = keras.layers.UpSampling2D(interpolation="bilinear")(_pointwise(x, filters))
        x = _separable(keras.layers.Add()([x, before]), filters)
    logits = keras.layers.Conv2D(1, 1, dtype="float32", name="cells")(x)
    enlarged = keras.layers.Resizing(plane_side, plane_side, interpolation="bilinear", name=LUNGS)(logits)
    return keras.Model(planes, {LUNGS: enlarged})


def _separable(x: keras.KerasTensor, filters: int, *, strides: int = 1) -> keras.KerasTensor:
    each = keras.layers.DepthwiseConv2D(
        3, strides=strides, padding="same", use_bias=False, depthwise_initializer="he_normal"
    )(x)
    return _pointwise(keras.layers.ReLU()(BatchNormalization(momentum=BATCH_MOMENTUM)(each)), filters)


def _pointwise(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    return convolution(x, filters, size=1)
