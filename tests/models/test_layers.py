"""Batch normalisation in one operation is Keras's own but for rounding and the unbiased running variance."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow

SHAPE = (4, 6, 6, 8)


@pytest.fixture(scope="module", autouse=True)
def _pinned(pinned_tensorflow):
    """Every test here runs TensorFlow."""


def stepped(kind, maps):
    """Return what a training step of a layer gives, its gradients, and its running averages afterwards."""
    from cxr.models.layers import tf

    layer = kind(momentum=0.9)
    layer.build(SHAPE)
    layer.gamma.assign(np.linspace(0.5, 2.0, SHAPE[-1]))
    layer.beta.assign(np.linspace(-1.0, 1.0, SHAPE[-1]))
    inputs = tf.constant(maps)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        given = layer(inputs, training=True)
        total = tf.reduce_sum(given**3)
    gradients = tape.gradient(total, [inputs, layer.gamma.value, layer.beta.value])
    asked = layer(inputs, training=False)
    return [given, *gradients, layer.moving_mean.numpy()], layer.moving_variance.numpy(), asked.numpy(), layer.name


def test_a_step_is_that_of_keras():
    from cxr.models.layers import BatchNormalization, keras

    keras.utils.clear_session()
    maps = np.random.default_rng(0).normal(3.0, 2.0, SHAPE).astype(np.float32)
    expected, variance, asked, name = stepped(keras.layers.BatchNormalization, maps)
    found, unbiased, asked_too, own_name = stepped(BatchNormalization, maps)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
    pixels = np.prod(SHAPE[:3])
    np.testing.assert_allclose((unbiased - 0.9) * (pixels - 1) / pixels, variance - 0.9, rtol=1e-4)
    np.testing.assert_allclose(asked_too, asked, rtol=1e-2, atol=1e-2)
    assert own_name.startswith(name)
