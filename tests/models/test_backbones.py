"""Weights in the layout that keras.applications publishes are loaded and frozen; random ones keep the signal."""

import h5py
import numpy as np
import pytest

from cxr import models

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def keras(pinned_tensorflow):  # noqa: ARG001  first of all
    from cxr.models.tf import keras

    return keras


@pytest.fixture(scope="module")
def published(keras, tmp_path_factory):
    """Give a file like the published one, of a VGG16 without top, with random weights."""
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    body = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    path = tmp_path_factory.mktemp("weights") / "vgg16_notop.h5"
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, body)
    return path, body.get_weights()


def test_published_weights_are_loaded_and_only_the_head_learns(published):
    path, expected = published
    model = models.build("vgg16", 64, 32, 3, 0.2, imagenet=path)
    body = next(layer for layer in model.layers if layer.name == "vgg16")
    assert all(np.array_equal(one, other) for one, other in zip(body.get_weights(), expected, strict=True))
    assert [weight.path for weight in model.trainable_weights] == ["logits/kernel", "logits/bias"]


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_random_weights_all_learn_and_carry_the_signal_to_the_end(name, keras):
    keras.utils.set_random_seed(1)
    model = models.build(name, 64, 32, 3, 0.2, imagenet=None)
    planes = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 1), dtype=np.uint8)
    features = model(planes, training=True)["features"].numpy()
    assert 0.01 < features.std() < 100
    assert len(model.trainable_weights) > 20
