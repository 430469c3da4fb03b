"""What the gate learns from: radiographs in every view, and pictures that are none."""

import math
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr.core.image import Plane
from cxr.inference.gate import Sign
from cxr.models import AugmentParams
from cxr.models.gate import LEARNED
from cxr.models.layers import tf
from cxr.training.augmentation import WHITE, augmented
from cxr.training.gate_negatives import draw_negatives
from cxr.training.params import GateParams

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
    varied = augmented(tf.cast(tf.round(tf.clip_by_value(seen, 0.0, WHITE)), tf.uint8), augment, draw)
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


LEAST_NEGATIVES = 400  # fewer teach no more than their own kinds
COMPRESSED = 0.5  # share of the pictures that are compressed as JPEG once more
QUALITIES = (25, 90)
VIEW_BATCH = 256
AHEAD = 4

Targets = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Planes, of radiographs or not.

    Attributes:
        planes: uint8 (n, side, side), radiographs upright.
        radiograph: bool (n,).
    """

    planes: Plane
    radiograph: NDArray[np.bool_]


def gather(planes: Plane, params: GateParams, seed: int) -> Pictures:
    """Join each radiograph, `views` times, with drawn pictures that are none; half of all compressed once more.

    So no sign can be read from how a picture was stored.

    Args:
        planes: uint8 (n, side, side), upright radiographs.
        params: The recipe.
        seed: Of what is drawn.
    """
    count = max(LEAST_NEGATIVES, round(params.negatives * len(planes)))
    drawn, _ = draw_negatives(count, planes, seed)
    joined = np.concatenate([*[planes] * params.views, drawn])
    rng = np.random.default_rng([seed, len(joined)])
    for number in np.flatnonzero(rng.random(len(joined)) < COMPRESSED):
        joined[number] = compressed(joined[number], int(rng.integers(*QUALITIES)))
    return Pictures(joined, np.arange(len(joined)) < len(joined) - count)


def compressed(plane: Plane, quality: int) -> Plane:
    """Return uint8 (side, side) as it is after JPEG of that quality, 1 to 95."""
    file = BytesIO()
    Image.fromarray(plane).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


def view_batches(pictures: Pictures, params: GateParams, seed: int) -> "tf.data.Dataset":
    """Give shuffled batches of views (see `draw_views`), others each epoch, the same for the same seed."""
    whole = tf.data.Dataset.from_tensor_slices((pictures.planes[..., np.newaxis], pictures.radiograph))
    batches = whole.shuffle(len(pictures.planes), seed=seed).batch(params.batch_size)
    draws = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)
    views = tf.data.Dataset.zip(batches, draws).map(
        lambda batch, draw: draw_views(batch[0], batch[1], params.side, params.augment, draw), num_parallel_calls=2
    )
    return views.prefetch(AHEAD)


def fixed_views(pictures: Pictures, params: GateParams, seed: int, side: int) -> tuple[Plane, Targets]:
    """Draw one view of each picture, always the same: uint8 (n, side, side, 1) and targets float32 (n, signs)."""
    parts = []
    for start in range(0, len(pictures.planes), VIEW_BATCH):
        chosen = slice(start, start + VIEW_BATCH)
        planes, draw = pictures.planes[chosen, ..., np.newaxis], tf.constant([seed, start], tf.int64)
        radiograph = tf.constant(pictures.radiograph[chosen])
        parts.append(draw_views(tf.constant(planes), radiograph, side, params.augment, draw))
    views, targets = (np.concatenate([np.asarray(part) for part in column]) for column in zip(*parts, strict=True))
    return views, targets
