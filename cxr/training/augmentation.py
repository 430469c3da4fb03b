"""A training image is moved once and re-exposed once: one resampling and one multiply-add a pixel, in TensorFlow.

What else differs between hospitals (gamma, sharpness, noise, margins, markers) is `cxr.training.acquisition`.
"""

import math

from cxr.models.tf import tf
from cxr.training.acquisition import acquire_otherwise
from cxr.training.params import AugmentParams

WHITE = 255.0
MOVES = 4  # rotation, vertical shift, horizontal shift, zoom
EXPOSURES = 2  # contrast, brightness


def vary(images: "tf.Tensor", params: AugmentParams, draw: "tf.Tensor") -> "tf.Tensor":
    """Move and re-expose a batch as a radiograph can bear, each image by its own amounts.

    Rotation, shift and zoom are one affine map, so that pixels are interpolated once (bilinear); beyond the detector
    there is no exposure, so what comes from outside is zero. Contrast is changed about the image's own mean.

    Args:
        images: uint8 (n, side, side, 1).
        params: The largest amounts; each is drawn uniformly in both directions.
        draw: int64 (2,), seed of all amounts: the same gives the same.

    Returns:
        uint8 (n, side, side, 1).
    """
    amounts = tf.random.stateless_uniform([MOVES + EXPOSURES, tf.shape(images)[0]], draw, -1.0, 1.0)
    moved = _move(tf.cast(images, tf.float32), params, amounts[:MOVES])
    exposed = _expose(moved, params, amounts[MOVES:])
    varied = acquire_otherwise(exposed, params, draw)
    return tf.cast(tf.round(tf.clip_by_value(varied, 0.0, WHITE)), tf.uint8)


def _move(images: "tf.Tensor", params: AugmentParams, amounts: "tf.Tensor") -> "tf.Tensor":
    side = tf.cast(tf.shape(images)[1], tf.float32)
    angle = amounts[0] * params.rotation * 2 * math.pi
    down, right = (amounts[row] * params.shift * side for row in (1, 2))
    size = 1 + amounts[3] * params.zoom
    cos, sin = tf.cos(angle) * size, tf.sin(angle) * size
    centre = (side - 1) / 2
    # From a pixel of the result to where it is taken from: x' = cos x - sin y + left, y' = sin x + cos y + top,
    # which keeps the centre but for the shift.
    left = centre - cos * centre + sin * centre - right
    top = centre - sin * centre - cos * centre - down
    flat = tf.zeros_like(angle)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([cos, -sin, left, sin, cos, top, flat, flat], axis=1),
        output_shape=tf.shape(images)[1:3],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )


def _expose(images: "tf.Tensor", params: AugmentParams, amounts: "tf.Tensor") -> "tf.Tensor":
    contrast, brightness = (amounts[row][:, tf.newaxis, tf.newaxis, tf.newaxis] for row in (0, 1))
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    # (pixel - mean) * factor + mean + added, as one multiply-add.
    factor = 1 + contrast * params.contrast
    return images * factor + (mean * (1 - factor) + brightness * params.brightness * WHITE)
