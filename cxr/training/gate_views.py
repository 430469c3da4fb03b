"""Views of radiographs for the gate: upright, turned, inverted, cropped and combinations, made in TensorFlow."""

import math

from cxr.gate import Sign
from cxr.models.gate import LEARNED
from cxr.models.tf import tf
from cxr.training.augmentation import WHITE, vary
from cxr.training.params import AugmentParams

TURNED, INVERTED, CROPPED = 0.5, 0.3, 0.3  # shares of the views
SMALLEST_WINDOW, LARGEST_WINDOW = 0.35, 0.65  # side of what is cropped, share of the plane's
UNKNOWN = -1.0  # target of a sign that makes no sense: of what is no radiograph


def draw_views(
    planes: "tf.Tensor", radiograph: "tf.Tensor", side: int, augment: AugmentParams, draw: "tf.Tensor"
) -> "tuple[tf.Tensor, tf.Tensor]":
    """Turn, crop, vary and invert each picture of a batch by its own lot.

    What is no radiograph is not cropped: a window of a mosaic may be a radiograph. Pictures are inverted last, so that
    what lies beyond the detector is white in them, as in a film that was stored inverted.

    Args:
        planes: uint8 (n, s, s, 1), radiographs upright.
        radiograph: bool (n,).
        side: Of the views.
        augment: How far they are varied besides.
        draw: int64 (2,), seed of all lots.

    Returns:
        uint8 (n, side, side, 1), and targets float32 (n, len(LEARNED)): 1, 0 or UNKNOWN.
    """
    lots = tf.random.stateless_uniform([7, tf.shape(planes)[0]], draw)
    turns = tf.cast(tf.where(lots[0] < TURNED, 1 + tf.floor(3 * lots[0] / TURNED), 0.0), tf.int32)
    inverted = lots[1] < INVERTED
    cropped = (lots[2] < CROPPED) & radiograph
    window = tf.where(cropped, SMALLEST_WINDOW + (LARGEST_WINDOW - SMALLEST_WINDOW) * lots[3], 1.0)
    seen = _window(tf.cast(planes, tf.float32), side, turns, window, lots[4:6])
    varied = vary(tf.cast(tf.round(tf.clip_by_value(seen, 0.0, WHITE)), tf.uint8), augment, draw)
    views = tf.where(inverted[:, tf.newaxis, tf.newaxis, tf.newaxis], 255 - varied, varied)
    shown = {
        Sign.INVERTED: inverted,
        Sign.ROTATED_90: turns % 2 == 1,
        Sign.ROTATED_180: turns == 2,
        Sign.CROPPED: cropped,
    }
    known = [tf.where(radiograph, tf.cast(shown[sign], tf.float32), UNKNOWN) for sign in LEARNED if sign in shown]
    return views, tf.stack([tf.cast(~radiograph, tf.float32), *known], axis=1)


def _window(images: "tf.Tensor", side: int, turns: "tf.Tensor", window: "tf.Tensor", place: "tf.Tensor") -> "tf.Tensor":
    """Turn by quarters and cut a square, in one bilinear resampling.

    Args:
        images: float32 (n, s, s, 1).
        side: Of the result.
        turns: int32 (n,), quarters.
        window: float32 (n,), side of the square, share of the whole.
        place: float32 (2, n), 0 to 1, where it lies in what is left of the whole.
    """
    whole = tf.cast(tf.shape(images)[1], tf.float32)
    angle = tf.cast(turns, tf.float32) * (math.pi / 2)
    cos, sin = tf.round(tf.cos(angle)), tf.round(tf.sin(angle))
    scale = window * whole / side
    # The centre of the square in pixels of the plane, and the centre of the result: pixels are counted at their middle.
    right, down = ((share - 0.5) * (1 - window) * whole + (whole - 1) / 2 for share in (place[0], place[1]))
    centre = (side - 1) / 2
    a, b = cos * scale, sin * scale
    flat = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, -b, right - (a - b) * centre, b, a, down - (a + b) * centre, flat, flat], axis=1),
        output_shape=[side, side],
        interpolation="BILINEAR",
        fill_mode="NEAREST",
        fill_value=0.0,
    )
