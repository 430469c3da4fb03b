"""Devices and precision; and what is said where a training will give other bytes."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from cxr.core.errors import ParamsError
from cxr.core.params import RuntimeParams
from cxr.training.devices import compare_environments, environment, warn_of_other_environment
from tests.imports import ROOT
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


COMPUTED = """
import numpy as np
from cxr.core.params import RuntimeParams
from cxr.models.layers import keras
from cxr.training.devices import precision
from tests.networks import build
with precision(RuntimeParams(precision="mixed_bfloat16")):
    model = build("cnn1", 32, 32, 2, 0.2)
print(keras.Model(model.inputs, model.output["logits"])(np.zeros((4, 32, 32, 1), np.uint8)).dtype)
"""


@pytest.mark.slow
def test_a_processor_without_a_limit_computes_in_bfloat16_too():
    limits = ("ONEDNN_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS")
    variables = {key: value for key, value in os.environ.items() if key not in limits}
    done = subprocess.run([sys.executable, "-c", COMPUTED], cwd=ROOT, env=variables, capture_output=True, text=True)
    assert done.stdout == "<dtype: 'float32'>\n", done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("pinned_tensorflow")
@pytest.mark.parametrize("name", ["cnn1", "resnet50"])
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_what_was_trained_in_mixed_precision_is_kept_in_float32(name, precision):
    from cxr.models.layers import keras
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
    from cxr.models.layers import keras
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
    from cxr.models.layers import keras
    from cxr.training.devices import precision

    with pytest.raises(RuntimeError), precision(RuntimeParams(precision="mixed_bfloat16")):
        raise RuntimeError
    assert keras.config.dtype_policy().name == "float32"


HERE = {"python": "3.11", "instructions": "avx512", "devices": "cpu", "tensorflow": "2.21.0"}


@pytest.mark.parametrize(
    ("recorded", "sentence"),
    [
        ({"tensorflow": "2.22.0"}, "trained with tensorflow 2.22.0, here 2.21.0: other wheels give other weights"),
        ({"python": "3.12"}, "trained with python 3.12, here 3.11: other wheels give other weights"),
        (
            {"instructions": "avx2"},
            "trained with instructions avx2, here avx512: other instructions add",
        ),
        ({"devices": "1 x NVIDIA H100"}, "trained with 1 x NVIDIA H100, here cpu: other devices add in another order"),
    ],
)
def test_each_difference_is_a_sentence(recorded, sentence):
    [said] = compare_environments(HERE | recorded, HERE)
    assert said.startswith(sentence)


def test_differences_stand_together_and_what_one_side_lacks_is_passed():
    assert len(compare_environments({"python": "3.12", "tensorflow": "2.20.0", "keras": "3.0.0"}, HERE)) == 2
    assert compare_environments({}, HERE) == compare_environments(HERE, HERE) == []


def test_a_training_that_will_give_other_weights_is_announced(tmp_path, capsys):
    path = tmp_path / "environment.json"
    path.write_text(json.dumps({"cnn1": environment() | {"keras": "0.1"}, "cnn3": environment()}))
    warn_of_other_environment(path, "cnn1", RuntimeParams())
    said = capsys.readouterr().err
    assert said.startswith("train_cnn1: the weights will differ from the recorded ones: trained with keras 0.1, here ")
    assert said.endswith(": other wheels give other weights. dvc metrics diff shows what moved\n")
    warn_of_other_environment(path, "cnn3", RuntimeParams())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"cnn1": 3}', '{"cnn3": {"keras": "0.1"}}'])
def test_a_record_that_is_absent_or_unreadable_promises_nothing(text, tmp_path, capsys):
    if text is not None:
        (tmp_path / "environment.json").write_text(text)
    warn_of_other_environment(tmp_path / "environment.json", "cnn1", RuntimeParams())
    assert capsys.readouterr().err == ""


def test_the_environment_names_nothing_that_two_machines_of_a_class_differ_in():
    assert list(environment()) == [
        "python", "machine", "instructions", "devices", "tensorflow", "keras", "openvino", "numpy",
    ]  # fmt: skip
    assert environment() == environment()


def test_a_tensorflow_that_chooses_its_kernels_itself_is_an_environment_of_its_own(monkeypatch):
    limited = environment()["instructions"]
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    assert environment()["instructions"] == f"{limited} (not limited)"
