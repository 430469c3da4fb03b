"""Devices and precision; what needs several devices runs in a process of its own, on a processor cut in two."""

import os
import subprocess
import sys

import numpy as np
import pytest

from cxr.core.errors import ParamsError
from cxr.core.params import RuntimeParams
from tests.imports import ROOT

TWO_DEVICES = """
import numpy as np
from pathlib import Path
from cxr import models
from cxr.models.backend import keras, tf
from cxr.inference.network import Network
from cxr.core.params import RuntimeParams
from cxr.training.devices import in_float32, strategy_over
from cxr.training.export import assert_agreement, export_network
from cxr.training.loop import EqualStatistics, dealt_batch
from cxr.training.devices import make_reproducible

make_reproducible(RuntimeParams(), seed=3)
halves = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
strategy = strategy_over([half.name for half in tf.config.list_logical_devices("CPU")])

planes = np.random.default_rng(0).integers(0, 256, (41, 32, 32, 1), np.uint8)
targets = np.eye(2, dtype=np.float32)[np.arange(41) % 2]
size = dealt_batch(41, 8, strategy.num_replicas_in_sync)
batches = tf.data.Dataset.from_tensor_slices((planes, targets)).batch(size)


def build():
    return models.build("cnn1", 32, 32, 2, 0.2)


with strategy.scope():
    model = build()
    fitted = keras.Model(model.inputs, model.output["logits"])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    fitted.compile(keras.optimizers.AdamW(0.01), loss)
before = model.get_weights()
equal = [EqualStatistics()]
fitting = fitted.fit(batches, validation_data=batches, epochs=2, shuffle=False, verbose=0, callbacks=equal)

plain = in_float32(model, build)
expected = float(loss(targets, plain(planes, training=False)["logits"]))
export_network(plain, Path())
difference = assert_agreement(plain, Network(Path("network.xml")), planes[:8, ..., 0])
moved = any((a != b).any() for a, b in zip(before, plain.get_weights()))
same_loss = abs(fitting.history["val_loss"][-1] - expected) < 1e-5
print(strategy.num_replicas_in_sync, size, moved, same_loss, difference < 1e-5)
"""


@pytest.mark.parametrize(
    ("present", "asked", "chosen"),
    [([], "automatic", []), (["a", "b"], "automatic", ["a", "b"]), (["a", "b"], "one_gpu", ["a"]), (["a"], "cpu", [])],
)
def test_the_gpus_asked_for_are_chosen_from_those_present(present, asked, chosen):
    from cxr.training.devices import chosen_gpus

    assert chosen_gpus(present, RuntimeParams(devices=asked)) == chosen


@pytest.mark.parametrize(
    ("present", "runtime", "sentence"),
    [
        (
            [],
            {"devices": "one_gpu"},
            "runtime.devices 'one_gpu' needs a GPU, but TensorFlow finds none here",
        ),
        (
            [],
            {"precision": "mixed_float16"},
            "runtime.precision 'mixed_float16' needs a GPU, but TensorFlow finds none",
        ),
        (["a"], {"precision": "mixed_float16", "devices": "cpu"}, "needs a GPU, but runtime.devices is 'cpu'"),
    ],
)
def test_a_gpu_that_is_needed_and_absent_is_refused(present, runtime, sentence):
    from cxr.training.devices import chosen_gpus

    with pytest.raises(ParamsError) as error:
        chosen_gpus(present, RuntimeParams(**runtime))
    assert sentence in str(error.value)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_without_a_gpu_the_processor_computes_in_what_it_can(precision):
    from cxr.training.devices import chosen_gpus

    assert chosen_gpus([], RuntimeParams(precision=precision)) == []


def test_one_device_takes_any_batch_and_several_steps():
    from cxr.training.loop import dealt_batch, steps_per_call

    assert [dealt_batch(images, 16, 1) for images in (1, 15, 17, 33)] == [16] * 4
    assert (steps_per_call(8, 30, 1), steps_per_call(8, 3, 1), steps_per_call(8, 30, 2)) == (8, 3, 1)


@pytest.mark.parametrize("devices", [2, 3, 4, 8])
@pytest.mark.parametrize("images", [64, 588, 2353])
def test_every_device_is_dealt_an_image_of_every_batch(images, devices):
    from cxr.training.loop import dealt_batch

    size = dealt_batch(images, 16, devices)
    assert size % devices == 0
    for first in range(0, images, size):
        share = -(-min(size, images - first) // devices)
        assert min(size, images - first) > share * (devices - 1)


def test_images_that_cannot_be_dealt_are_refused():
    from cxr.training.loop import dealt_batch

    with pytest.raises(ParamsError, match="60 images cannot be dealt to 8 devices"):
        dealt_batch(60, 16, 8)


def test_a_training_batch_has_equal_shares():
    from cxr.training.loop import even_batch

    assert [even_batch(size, devices) for size, devices in ((16, 1), (16, 4), (10, 4), (3, 8))] == [16, 16, 12, 8]


@pytest.mark.slow
def test_two_devices_fit_one_model_whose_weights_and_answers_are_then_those_of_one(tmp_path):
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", TWO_DEVICES]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Of 41 images in batches of 8 one is left for two devices.
    assert done.stdout.split() == ["2", "6", "True", "True", "True"]
    assert "training on 2 devices" in done.stderr
    assert "equal bytes are not promised" in done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("pinned_tensorflow")
@pytest.mark.parametrize("name", ["cnn1", "resnet50"])
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_what_was_trained_in_mixed_precision_is_kept_in_float32(name, precision):
    from cxr import models
    from cxr.models.backend import keras
    from cxr.training.devices import in_float32
    from cxr.training.devices import precision as computing_in

    def build():
        return models.build(name, 32, 32, 2, 0.2, **({"imagenet": None} if name == "resnet50" else {}))

    planes = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 1), np.uint8)
    with computing_in(RuntimeParams(precision=precision)):
        mixed = build()
        fitted = keras.Model(mixed.inputs, mixed.output["logits"])
    assert keras.config.dtype_policy().name == "float32"
    assert mixed.output["features"].dtype == precision.removeprefix("mixed_")
    assert fitted(planes).dtype == "float32"

    kept, reference = in_float32(mixed, build), build()
    reference.set_weights(mixed.get_weights())
    answers, expected = kept(planes, training=False), reference(planes, training=False)
    for output, values in expected.items():
        assert answers[output].dtype == "float32"
        np.testing.assert_array_equal(answers[output], values)


@pytest.mark.slow
@pytest.mark.usefixtures("pinned_tensorflow")
def test_what_is_in_float32_on_one_device_is_kept_as_it_is_and_a_rebuilt_one_has_its_names():
    from cxr import models
    from cxr.models.backend import keras
    from cxr.training.devices import in_float32
    from cxr.training.devices import precision as computing_in

    def build():
        return models.build("cnn1", 32, 32, 2, 0.2)

    keras.utils.clear_session(free_memory=False)
    plain = build()
    assert in_float32(plain, build) is plain
    with computing_in(RuntimeParams(precision="mixed_bfloat16")):
        mixed = build()
    rebuilt = in_float32(mixed, build)
    assert [layer.name for layer in rebuilt.layers] == [layer.name for layer in plain.layers]


@pytest.mark.usefixtures("pinned_tensorflow")
def test_the_precision_is_put_back_after_an_error():
    from cxr.models.backend import keras
    from cxr.training.devices import precision

    with pytest.raises(RuntimeError), precision(RuntimeParams(precision="mixed_bfloat16")):
        raise RuntimeError
    assert keras.config.dtype_policy().name == "float32"


def test_one_training_on_several_machines_is_refused_with_the_way_out():
    from cxr.core.errors import ParamsError
    from cxr.training.devices import chosen_gpus

    with pytest.raises(ParamsError, match=r"Keras 3's fit does not support \(keras#20585\).*dvc exp run --queue"):
        chosen_gpus([], RuntimeParams(devices="multi_worker"))
