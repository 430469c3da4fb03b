"""One model on several devices: which batches reach all of them, and what their copies must be kept equal in."""

from itertools import chain
from typing import Any

from cxr.errors import ParamsError
from cxr.models.tf import keras, tf


def replicas() -> int:
    """Return on how many devices a model is built that is built here; 1 outside of a strategy's scope."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


class EqualStatistics(keras.callbacks.Callback):  # type: ignore[misc]
    """Before each validation, give all copies the mean of their statistics of batch normalisation.

    Keras keeps them apart, one for each device's share of the batches: validation would ask other networks than the
    one that is kept, which has the first device's. On one device it changes nothing.
    """

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras's signature
        """Keras calls this in `fit` before it validates."""
        strategy = self.model.distribute_strategy
        if strategy.num_replicas_in_sync == 1:
            return
        for variable in self.model.non_trainable_variables:
            if "float" in variable.dtype:  # not the state of dropout
                variable.assign(strategy.reduce(tf.distribute.ReduceOp.MEAN, variable.value, axis=None))


def steps_per_call(most: int, steps: int, devices: int) -> int:
    """Return how many of `steps` TensorFlow may take before Python is asked again: at most `most`.

    One on several devices: TensorFlow 2.21 fails there when it runs Keras's loop over steps.
    """
    return min(most, steps) if devices == 1 else 1


def even_batch(batch_size: int, devices: int) -> int:
    """Return `batch_size`, rounded up to a multiple of `devices`.

    For training batches, whose rest must be dropped on several devices (`drop_remainder=devices > 1`): Keras wants
    equal shares of the first batch, and convolutions fail on a device that is left without an image by the last one.
    """
    return -(-batch_size // devices) * devices


def dealt_batch(images: int, batch_size: int, devices: int) -> int:
    """Return the batch size for images of which none may be dropped: that of the recipe on one device.

    On several it is the nearest below, or else above, that starts with equal shares and ends with an image for every
    device. A batch of k is dealt in shares of ceil(k / devices).

    Raises:
        ParamsError: There is none.
    """
    for size in chain(range(batch_size, 0, -1), range(batch_size + 1, images + 1)):
        if min(size, images) % devices == 0 and _reaches_all(images % size, devices):
            return size
    raise ParamsError(f"{images} images cannot be dealt to {devices} devices; set runtime.devices to 'one_gpu'")


def _reaches_all(batch: int, devices: int) -> bool:
    share = -(-batch // devices)
    return batch == 0 or -(-batch // share) == devices
