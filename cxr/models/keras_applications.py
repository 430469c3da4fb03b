"""Backbones of keras.applications, with ImageNet weights or from scratch, as part of one of our networks."""

from collections.abc import Callable
from pathlib import Path

from cxr.models import TrainParams
from cxr.models.backend import keras
from cxr.models.layers import BATCH_MOMENTUM, network, plane_input, to_rgb

# Where keras.applications has its weights; ours are those without the classifier of the thousand classes ("notop").
STORE = "https://storage.googleapis.com/tensorflow/keras-applications"

Backbone = Callable[..., keras.Model]
Preprocess = Callable[[keras.KerasTensor], keras.KerasTensor]


def with_backbone(
    backbone: Backbone,
    preprocess: Preprocess,
    plane_side: int,
    classes: int,
    recipe: TrainParams,
    imagenet: Path | None,
) -> keras.Model:
    """Put a backbone between the plane and the head.

    Args:
        backbone: A constructor of keras.applications.
        preprocess: Its own preprocessing, on float32 RGB 0..255; only published weights need it.
        plane_side: Side of the plane, pixels.
        classes: Number of logits.
        recipe: Side of the backbone's input, and share of pooled features dropped while training.
        imagenet: The no-top weights file, or None for random weights. Loaded weights are frozen, and with that batch
            normalisation is in inference mode; fine-tuning lets some of them learn.
    """
    planes, pixels = plane_input(plane_side, recipe.side)
    weights = str(imagenet) if imagenet else None
    body = backbone(include_top=False, weights=weights, input_shape=(recipe.side, recipe.side, 3))
    if imagenet:
        body.trainable = False
        return network(planes, body(preprocess(to_rgb(pixels))), classes, recipe.dropout)
    initialise(body)
    # Unit scale: He's initialisation keeps it, and published means are for published weights.
    centred = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="centre")(to_rgb(pixels))
    return network(planes, body(centred), classes, recipe.dropout)


def initialise(body: keras.Model) -> None:
    """Draw convolution kernels by He et al. 2015 and let batch normalisation follow short epochs.

    keras.applications draws by Glorot, which halves the signal's variance at every rectifier: sixteen layers deep
    nothing arrives.
    """
    initialiser = keras.initializers.HeNormal(seed=keras.random.SeedGenerator())
    for layer in body.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(initialiser(layer.kernel.shape))
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = BATCH_MOMENTUM
