"""What all networks share: TensorFlow and Keras as one import, and from the luminance plane to floats, to logits."""

import logging
import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# TensorFlow writes to file descriptor 2 before it has read its own log level; an ImportError still gets through.
_saved, _null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
os.dup2(_null, 2)
try:
    import keras
    import tensorflow as tf
finally:
    os.dup2(_saved, 2)
    os.close(_saved)
    os.close(_null)

logging.getLogger("tensorflow").setLevel(logging.ERROR)

__all__ = [
    "BATCH_MOMENTUM",
    "SMALLEST_VARIANCE",
    "BatchNormalization",
    "convolution",
    "cut_margin",
    "keras",
    "network",
    "plane_input",
    "standardised",
    "tf",
    "to_rgb",
    "to_unit_scale",
    "widened",
]


BATCH_MOMENTUM = 0.9  # of batch normalisation's running averages
SMALLEST_VARIANCE = 1e-6  # of a channel that is standardised


class BatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras's batch normalisation, of which a training step is one operation of TensorFlow and its gradient another.

    Keras composes it of elementwise ones, each of which reads and writes the map: a third of a step of the small
    networks. Inference is Keras's own, and so are names and weights, hence the class's name. The running variance is
    the unbiased one, larger by a factor of n / (n - 1) for n pixels of a batch.
    """

    def call(self, inputs: "tf.Tensor", training: bool | None = None, mask: Any = None) -> "tf.Tensor":
        """Normalise over the batch while training, by the running averages otherwise, as Keras does."""
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        unused = tf.zeros([0], tf.float32)  # averages that come in, for inference
        normalised, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=tf.cast(inputs, tf.float32),
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=unused,
            variance=unused,
            epsilon=self.epsilon,
            is_training=True,
        )
        for running, found in ((self.moving_mean, mean), (self.moving_variance, variance)):
            running.assign(running * self.momentum + found * (1.0 - self.momentum))
        return tf.cast(normalised, self.compute_dtype)


def plane_input(plane_side: int, side: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Take the luminance plane and bring it to the network's own side.

    The resizing is plain bilinear: the antialiased kind does not convert to the screening runtime, and the plane
    was antialiased when it was made. At exactly half the side it is the mean of four pixels.

    Returns:
        The input, uint8 (n, plane_side, plane_side, 1); and float32 (n, side, side, 1), 0..255.
    """
    planes = keras.Input((plane_side, plane_side, 1), dtype="uint8", name="planes")
    pixels = keras.layers.Rescaling(1.0, name="to_float")(planes)
    if side != plane_side:
        pixels = keras.layers.Resizing(side, side, interpolation="bilinear", antialias=False, name="resize")(pixels)
    return planes, pixels


def cut_margin(pixels: keras.KerasTensor, margin: float) -> keras.KerasTensor:
    """Cut `margin`, a share of the side, off each side: what is printed, cut or collimated there cannot be learnt."""
    cut = round(margin * pixels.shape[1])
    return keras.layers.Cropping2D(cut, name="cut_margin")(pixels) if cut else pixels


def to_unit_scale(pixels: keras.KerasTensor, *, standardise: bool) -> keras.KerasTensor:
    """Bring 0..255 to about -1..1: by fixed numbers, or each image by its own mean and standard deviation.

    By its own, overall brightness and contrast are no longer there to tell one collection from another by.
    """
    if standardise:
        axes = [1, 2, 3]
        return keras.layers.LayerNormalization(axis=axes, center=False, scale=False, name="standardise")(pixels)
    return keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="centre")(pixels)


def widened(filters: int, factor: float) -> int:
    """Return `filters` times `factor`, rounded to a multiple of eight, which kernels are fast with; at least eight."""
    return max(8, round(filters * factor / 8) * 8)


def to_rgb(pixels: keras.KerasTensor) -> keras.KerasTensor:
    """Repeat the one channel three times: float32 (n, h, w, 3)."""
    return keras.layers.Concatenate(name="grey_to_rgb")([pixels, pixels, pixels])


def standardised(feature_map: keras.KerasTensor) -> keras.KerasTensor:
    """Bring each channel of a map to the mean and variance that the layer `standardise` is told; nothing of it learns.

    Until it is told, it leaves the map as it is, but for a millionth.
    """
    layer = keras.layers.BatchNormalization(
        center=False, scale=False, epsilon=SMALLEST_VARIANCE, trainable=False, name="standardise"
    )
    return layer(feature_map)


def network(planes: keras.KerasTensor, feature_map: keras.KerasTensor, classes: int, dropout: float) -> keras.Model:
    """Close a network with global average pooling and one linear layer.

    Returns:
        A model from planes to `logits` (n, classes), `features` (n, d) and `feature_map` (n, h, w, d), float32.
    """
    # The identities give the outputs their names in the exported network.
    feature_map = keras.layers.Activation("linear", name="feature_map")(feature_map)
    features = keras.layers.GlobalAveragePooling2D(name="features")(feature_map)
    dropped = keras.layers.Dropout(dropout, name="dropout")(features)
    # The loss needs float32, whatever the precision of the rest.
    logits = keras.layers.Dense(classes, dtype="float32", name="logits")(dropped)
    return keras.Model(planes, {"logits": logits, "features": features, "feature_map": feature_map})


def convolution(x: keras.KerasTensor, filters: int, *, size: int = 3, strides: int = 1) -> keras.KerasTensor:
    """Convolve (He initialisation), normalise over the batch, rectify."""
    x = keras.layers.Conv2D(
        filters, size, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal"
    )(x)
    # Not Keras's 0.99: on a hundred images an epoch has four steps, and averages that lag behind the weights give
    # validation losses of 4 where 0.5 is true.
    x = BatchNormalization(momentum=BATCH_MOMENTUM)(x)
    return keras.layers.ReLU()(x)
