"""Devices and precision."""

import numpy as np
import pytest

from cxr.core.errors import ParamsError
from cxr.core.params import RuntimeParams
from tests.networks import build


@pytest.mark.parametrize(
    ("present", "asked", "chosen"),
    [([], "automatic", []), (["a", "b"], "automatic", ["a"]), (["a", "b"], "one_gpu", ["a"]), (["a"], "cpu", [])],
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


@pytest.mark.slow
@pytest.mark.usefixtures("pinned_tensorflow")
@pytest.mark.parametrize("name", ["cnn1", "resnet50"])
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_what_was_trained_in_mixed_precision_is_kept_in_float32(name, precision):
    from cxr.models.backend import keras
    from cxr.training.devices import in_float32
    from cxr.training.devices import precision as computing_in

    def again():
        return build(name, 32, 32, 2, 0.2)

    planes = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 1), np.uint8)
    with computing_in(RuntimeParams(precision=precision)):
        mixed = again()
        fitted = keras.Model(mixed.inputs, mixed.output["logits"])
    assert keras.config.dtype_policy().name == "float32"
    assert mixed.output["features"].dtype == precision.removeprefix("mixed_")
    assert fitted(planes).dtype == "float32"

    kept, reference = in_float32(mixed, again), again()
    reference.set_weights(mixed.get_weights())
    answers, expected = kept(planes, training=False), reference(planes, training=False)
    for output, values in expected.items():
        assert answers[output].dtype == "float32"
        np.testing.assert_array_equal(answers[output], values)


@pytest.mark.slow
@pytest.mark.usefixtures("pinned_tensorflow")
def test_what_is_in_float32_is_kept_as_it_is_and_a_rebuilt_one_has_its_names():
    from cxr.models.backend import keras
    from cxr.training.devices import in_float32
    from cxr.training.devices import precision as computing_in

    def again():
        return build("cnn1", 32, 32, 2, 0.2)

    keras.utils.clear_session(free_memory=False)
    plain = again()
    assert in_float32(plain, again) is plain
    with computing_in(RuntimeParams(precision="mixed_bfloat16")):
        mixed = again()
    rebuilt = in_float32(mixed, again)
    assert [layer.name for layer in rebuilt.layers] == [layer.name for layer in plain.layers]


@pytest.mark.usefixtures("pinned_tensorflow")
def test_the_precision_is_put_back_after_an_error():
    from cxr.models.backend import keras
    from cxr.training.devices import precision

    with pytest.raises(RuntimeError), precision(RuntimeParams(precision="mixed_bfloat16")):
        raise RuntimeError
    assert keras.config.dtype_policy().name == "float32"
