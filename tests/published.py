"""Drawn weights in files as keras.applications publishes them; nothing is downloaded."""

from pathlib import Path

import numpy as np

from cxr.models import PublishedWeights, md5_of
from tests.networks import build, published

SIDE = 32


def draw_published(name: str, folder: Path) -> tuple[PublishedWeights, list[np.ndarray]]:
    """Write the weights of a drawn `name` without top into `folder`; return what is then published, and them."""
    import h5py
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    from cxr.models.keras_applications import initialise
    from cxr.models.layers import keras

    keras.utils.set_random_seed(1)
    module = getattr(keras.applications, name)
    body = getattr(module, {"vgg16": "VGG16", "resnet50": "ResNet50"}[name])(
        include_top=False, weights=None, input_shape=(SIDE, SIDE, 3)
    )
    initialise(body)
    _draw_statistics(body, keras)
    path = folder / published(name).filename
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, body)
    return PublishedWeights(path.name, md5_of(path), "https://example.org"), body.get_weights()


def draw_lite0(folder: Path) -> tuple[PublishedWeights, dict[str, np.ndarray]]:
    """Write drawn weights of lite0, but for its last layer, into `folder`; return what is then published, and them."""
    from cxr.models.layers import keras

    keras.utils.set_random_seed(1)
    model = build("lite0", SIDE, SIDE, 2, 0.2)
    _draw_statistics(model, keras)
    drawn = {w.path: w.numpy() for layer in model.layers if layer.name != "logits" for w in layer.weights}
    path = folder / published("lite0").filename
    np.savez(path, **drawn)
    return PublishedWeights(path.name, md5_of(path)), drawn


def _draw_statistics(body, keras) -> None:
    """Give every batch normalisation numbers of its own: those it starts with are the identity."""
    draw = np.random.default_rng(2)
    for layer in body.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (np.zeros(weight.shape) for weight in layer.get_weights())
            layer.set_weights(
                [
                    draw.uniform(0.2, 0.6, gamma.shape),
                    draw.normal(0, 0.1, beta.shape),
                    draw.normal(0, 0.1, mean.shape),
                    draw.uniform(0.5, 1.5, variance.shape),
                ]
            )
