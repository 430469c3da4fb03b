"""Batches of uint8 planes: shuffled and augmented for training, in order for validation."""

import numpy as np
from numpy.typing import NDArray

from cxr.models.tf import tf
from cxr.planes import Plane
from cxr.training.augmentation import vary
from cxr.training.params import AugmentParams

Targets = NDArray[np.float32]

# Batches are a function of the draws alone, so several can be made at once.
AUGMENTING_THREADS = 2
AHEAD = 4


def training_batches(
    planes: Plane,
    targets: Targets,
    batch_size: int,
    augment: AugmentParams,
    seed: int,
    *,
    weights: Targets | None = None,
    whole: bool = False,
) -> "tf.data.Dataset":
    """Give shuffled, augmented batches, another order and other variations each epoch, the same for the same seed.

    Args:
        planes: uint8 (n, side, side).
        targets: float32 (n, classes), each row sums to one.
        batch_size: Images a batch.
        augment: How far images are varied.
        seed: Of order and variations.
        weights: float32 (n,), of each image in the loss, third in a batch; None: no third.
        whole: Leave out the last batch of an epoch where it is smaller.
    """
    each = (targets,) if weights is None else (targets, weights)
    shuffled = _dataset(planes, *each).shuffle(len(planes), seed=seed).batch(batch_size, drop_remainder=whole)
    draws = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)
    varied = tf.data.Dataset.zip(shuffled, draws).map(
        lambda batch, draw: (vary(batch[0], augment, draw), *batch[1:]), num_parallel_calls=AUGMENTING_THREADS
    )
    return varied.prefetch(AHEAD)


def ordered_batches(planes: Plane, targets: Targets, batch_size: int) -> "tf.data.Dataset":
    """Give the images as they are, in order."""
    return _dataset(planes, targets).batch(batch_size).prefetch(AHEAD)


def _dataset(planes: Plane, *each: Targets) -> "tf.data.Dataset":
    return tf.data.Dataset.from_tensor_slices((planes[..., np.newaxis], *each))
