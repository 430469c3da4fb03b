"""Batches of uint8 planes: shuffled and augmented for training, in order for validation."""

import numpy as np
from numpy.typing import NDArray

from cxr.models.tf import keras, tf
from cxr.planes import Plane
from cxr.training.params import AugmentParams

Targets = NDArray[np.float32]

WHOLE_RANGE = (0, 255)


def training_batches(
    planes: Plane, targets: Targets, batch_size: int, augment: AugmentParams, seed: int
) -> "tf.data.Dataset":
    """Give shuffled, augmented batches, another order and other variations each epoch, the same for the same seed.

    Args:
        planes: uint8 (n, side, side).
        targets: float32 (n, classes), each row sums to one.
        batch_size: Images a batch.
        augment: How far images are varied.
        seed: Of order and variations.
    """
    vary = augmentation(augment, seed)
    dataset = _dataset(planes, targets).shuffle(len(planes), seed=seed).batch(batch_size)
    return dataset.map(lambda images, truth: (vary(images), truth), num_parallel_calls=1).prefetch(2)


def ordered_batches(planes: Plane, targets: Targets, batch_size: int) -> "tf.data.Dataset":
    """Give the images as they are, in order."""
    return _dataset(planes, targets).batch(batch_size).prefetch(2)


def augmentation(params: AugmentParams, seed: int) -> keras.layers.Layer:
    """Return a layer from uint8 (n, side, side, 1) to the same, moved and re-exposed as a radiograph can bear."""
    layers = keras.layers
    moves = {"fill_mode": "constant", "fill_value": 0.0}  # beyond the detector there is no exposure
    return layers.Pipeline(
        [
            layers.Rescaling(1.0),
            layers.RandomRotation(params.rotation, seed=seed, **moves),
            layers.RandomTranslation(params.shift, params.shift, seed=seed + 1, **moves),
            layers.RandomZoom(params.zoom, seed=seed + 2, **moves),
            layers.RandomContrast(params.contrast, value_range=WHOLE_RANGE, seed=seed + 3),
            layers.RandomBrightness(params.brightness, value_range=WHOLE_RANGE, seed=seed + 4),
            layers.Lambda(lambda pixels: tf.cast(tf.round(tf.clip_by_value(pixels, 0, 255)), tf.uint8)),
        ]
    )


def _dataset(planes: Plane, targets: Targets) -> "tf.data.Dataset":
    return tf.data.Dataset.from_tensor_slices((planes[..., np.newaxis], targets))
