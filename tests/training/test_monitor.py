"""What TensorBoard can show, read back with its own reader; and that looking on changes no weight."""

import json
import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from cxr.core.errors import OutputError
from cxr.core.params import RuntimeParams
from cxr.models.pretrained import PUBLISHED
from cxr.training.devices import environment
from cxr.training.monitor import (
    FRAME,
    GAP,
    RIGHT,
    TILE,
    WRONG,
    compare,
    confusion_picture,
    sample_sheet,
    spread,
    warn_of_other_environment,
)
from cxr.training.params import FineTuneParams, HeadParams
from tests.published import draw_published

SCALARS = {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}
PICTURES = {"validation/confusion", "validation/answers"}


@pytest.fixture
def make_callbacks(tmp_path):
    pytest.importorskip("tensorboard", reason="the extra 'tensorboard' is not installed")
    from cxr.training.monitor import tensorboard_callbacks

    return tensorboard_callbacks(tmp_path / "runs")


@pytest.fixture
def drawn(monkeypatch):
    """Give the list of the shares of right answers in each matrix that is drawn."""
    from cxr.training import monitor

    shares, original = [], monitor.confusion_picture

    def spy(actual, predicted, classes):
        shares.append(np.mean(actual == predicted))
        return original(actual, predicted, classes)

    monkeypatch.setattr(monitor, "confusion_picture", spy)
    return shares


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()


def tags(events):
    return set(events.Tags()["tensors"])


def steps(events, tag):
    return [event.step for event in events.Tensors(tag)]


def numbers(events, tag):
    from tensorboard.util.tensor_util import make_ndarray

    return [float(make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]


def picture(events, tag):
    # A summary of pictures holds width, height and one PNG a picture.
    return Image.open(BytesIO(events.Tensors(tag)[0].tensor_proto.string_val[2]))


def trained(data, shared, recipe, folder, name="cnn1", **options):
    from cxr.training.train import train_network

    return train_network(name, *data, shared, recipe, folder, **options)


@pytest.mark.slow
def test_looking_on_changes_no_byte_of_the_weights_and_records_what_history_says(
    bright_and_dark, shared, recipe, make_callbacks, drawn, tmp_path
):
    alone, watched = (
        trained(bright_and_dark, shared, recipe, tmp_path, **options)
        for options in ({}, {"make_callbacks": make_callbacks})
    )
    assert alone.history == watched.history
    pairs = zip(alone.model.get_weights(), watched.model.get_weights(), strict=True)
    assert all(one.tobytes() == other.tobytes() for one, other in pairs)

    events = read(tmp_path / "runs/cnn1/whole")
    assert tags(events) == SCALARS | PICTURES
    assert events.Tags()["graph"]
    assert {tag: steps(events, tag) for tag in tags(events)} == {tag: [1, 2] for tag in SCALARS | PICTURES}
    assert numbers(events, "val_loss") == pytest.approx([row["val_loss"] for row in alone.history], abs=1e-6)
    assert drawn == pytest.approx([row["val_accuracy"] for row in alone.history], abs=1e-6)
    first, last = numbers(events, "learning_rate")
    assert recipe.learning_rate > first > last >= 0
    assert picture(events, "validation/answers").size[0] > 4 * 160
    assert picture(events, "validation/confusion").size[0] > 2 * 110


@pytest.mark.slow
def test_a_rerun_takes_the_place_of_the_last_and_touches_no_other_file(
    bright_and_dark, shared, recipe, make_callbacks, tmp_path
):
    folder = tmp_path / "runs/cnn1"
    for phase in ("whole", "fine_tune"):
        (folder / phase).mkdir(parents=True)
        (folder / phase / "events.out.tfevents.1.older").write_bytes(b"")
    (folder / "whole/mine.txt").write_text("mine")
    trained(bright_and_dark, shared, recipe.model_copy(update={"epochs": 1}), tmp_path, make_callbacks=make_callbacks)
    names = sorted(path.name.split(".")[0] for path in folder.rglob("*") if path.is_file())
    assert names == ["events", "mine"]
    assert steps(read(folder / "whole"), "loss") == [1]


@pytest.mark.slow
def test_both_phases_of_a_transfer_are_recorded_and_epochs_go_on(
    bright_and_dark, shared, transfer_recipe, make_callbacks, tmp_path, monkeypatch
):
    monkeypatch.setitem(PUBLISHED, "vgg16", draw_published("vgg16", tmp_path)[0])
    parts = {"head": HeadParams(epochs=2, learning_rate=0.01), "fine_tune": FineTuneParams(epochs=1)}
    recipe = transfer_recipe.model_copy(update={"weights": "imagenet", **parts})
    trained(bright_and_dark, shared, recipe, tmp_path, "vgg16", make_callbacks=make_callbacks)
    recorded = {phase: read(tmp_path / "runs/vgg16" / phase) for phase in ("head", "fine_tune")}
    assert {phase: steps(events, "loss") for phase, events in recorded.items()} == {"head": [1, 2], "fine_tune": [3]}
    assert all(tags(events) == SCALARS | PICTURES for events in recorded.values())


@pytest.mark.slow
def test_without_the_package_one_sentence_says_how_to_install_it(monkeypatch, tmp_path):
    from cxr.training.monitor import tensorboard_callbacks

    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(OutputError, match=r"TensorBoard is not installed.*pip install '\.\[tensorboard\]'"):
        tensorboard_callbacks(tmp_path)


@pytest.mark.slow
def test_a_file_in_place_of_the_folder_is_refused(make_callbacks, tmp_path):  # noqa: ARG001 - skips where it is absent
    from cxr.training.monitor import tensorboard_callbacks

    (tmp_path / "runs").write_text("")
    with pytest.raises(OutputError, match="is a file; --runs and CXR_RUNS expect a folder"):
        tensorboard_callbacks(tmp_path / "runs")


CLASSES = ("covid", "normal", "viral_pneumonia")


def one_hot(labels):
    return np.eye(3, dtype=np.float32)[labels]


def test_the_sample_is_spread_over_the_classes_and_through_each():
    labels = np.repeat([0, 1, 2], [100, 50, 2])
    chosen = spread(one_hot(labels), 16)
    assert np.bincount(labels[chosen]).tolist() == [7, 7, 2]
    assert len(set(chosen)) == 16
    assert {0, 99, 100, 149, 150, 151} <= set(chosen)


def test_a_small_validation_split_is_shown_whole_and_a_missing_class_is_no_fault():
    assert sorted(spread(one_hot([1, 0, 1]), 16)) == [0, 1, 2]


def test_a_frame_is_blue_where_the_answer_is_right_and_orange_where_it_is_wrong():
    planes = np.full((5, 32, 32), 200, np.uint8)
    sheet = sample_sheet(planes, np.array([0, 1, 2, 0, 1]), one_hot([0, 2, 2, 0, 1]), CLASSES)
    step = TILE + 2 * FRAME + GAP
    assert [tuple(sheet[GAP, GAP + step * k]) for k in range(4)] == [RIGHT, WRONG, RIGHT, RIGHT]
    assert (sheet[GAP + FRAME + 5, GAP + FRAME + 5] == 200).all()


def test_a_cell_is_as_dark_as_its_share_of_the_row():
    picture = confusion_picture(np.array([0, 0, 1, 2]), np.array([0, 0, 2, 2]), CLASSES)
    exact = (picture == RIGHT).all(axis=-1)
    # Three cells hold a whole row; the long name makes every cell about 110 pixels wide.
    assert 2.5 * 110**2 < exact.sum() < 3 * 110**2


def test_long_names_make_the_picture_wider_and_not_the_text_smaller():
    wide = confusion_picture(np.array([0]), np.array([1]), ("a" * 60, "b"))
    assert wide.shape[1] > 2 * confusion_picture(np.array([0]), np.array([1]), ("a", "b")).shape[1]
    Image.fromarray(wide)


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
