"""What the gate learns from: radiographs, pictures that are none, and the views of both."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr.models.tf import tf
from cxr.planes import Plane
from cxr.training.gate_params import GateParams
from cxr.training.gate_views import draw_views
from cxr.training.negatives import draw_negatives

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
