"""Weights in the layout that keras.applications publishes are loaded and frozen; random ones keep the signal."""

import numpy as np
import pytest

from tests.networks import build
from tests.published import draw_published

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def keras(pinned_tensorflow):  # noqa: ARG001  first of all
    from cxr.models.backend import keras

    return keras


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_published_weights_are_loaded_and_only_the_head_learns(name, keras, tmp_path):  # noqa: ARG001
    published, expected = draw_published(name, tmp_path)
    model = build(name, 64, 32, 3, 0.2, imagenet=tmp_path / published.filename)
    found = model.get_layer(name).get_weights()
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert [weight.path for weight in model.trainable_weights] == ["logits/kernel", "logits/bias"]


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_random_weights_all_learn_and_carry_the_signal_to_the_end(name, keras):
    keras.utils.set_random_seed(1)
    model = build(name, 64, 32, 3, 0.2)
    planes = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 1), dtype=np.uint8)
    features = model(planes, training=True)["features"].numpy()
    assert 0.01 < features.std() < 100
    assert len(model.trainable_weights) > 20
