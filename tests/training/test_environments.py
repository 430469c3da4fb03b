import json

import pytest

from cxr.params import RuntimeParams
from cxr.training.environments import compare, warn_of_other_environment
from cxr.training.reproducible import environment

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
    [said] = compare(HERE | recorded, HERE)
    assert said.startswith(sentence)


def test_differences_stand_together_and_what_one_side_lacks_is_passed():
    assert len(compare({"python": "3.12", "tensorflow": "2.20.0", "keras": "3.0.0"}, HERE)) == 2
    assert compare({}, HERE) == compare(HERE, HERE) == []


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


def test_a_tensorflow_without_onednn_is_an_environment_of_its_own(monkeypatch):
    plain = environment()["instructions"]
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert environment()["instructions"] == f"{plain} without onednn"
