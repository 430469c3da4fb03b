"""What TensorBoard can show, read back with its own reader; and that it changes no weight."""

import sys

import pytest

from cxr.core.errors import OutputError
from cxr.models import FineTuneParams
from tests.networks import publish
from tests.published import draw_published


@pytest.fixture
def make_callbacks(tmp_path):
    pytest.importorskip("tensorboard", reason="the extra 'tensorboard' is not installed")
    from cxr.training.loop import tensorboard_callbacks

    return tensorboard_callbacks(tmp_path / "runs")


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()


def numbers(events, tag):
    from tensorboard.util.tensor_util import make_ndarray

    return [float(make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]


def trained(data, shared, recipe, folder, name="cnn1", **options):
    from cxr.training.train import train_network

    return train_network(name, *data, shared, recipe, folder, **options)


@pytest.mark.long
@pytest.mark.slow
def test_recording_changes_no_byte_of_the_weights_and_shows_what_history_says(
    bright_and_dark, shared, recipe, make_callbacks, tmp_path
):
    options = ({}, {"make_callbacks": make_callbacks})
    alone, recorded = (trained(bright_and_dark, shared, recipe, tmp_path, **one) for one in options)
    assert alone.history == recorded.history
    pairs = zip(alone.model.get_weights(), recorded.model.get_weights(), strict=True)
    assert all(one.tobytes() == other.tobytes() for one, other in pairs)

    for part, column in (("train", "loss"), ("train", "accuracy"), ("validation", "val_loss")):
        events = read(tmp_path / "runs/cnn1/whole" / part)
        said = numbers(events, f"epoch_{column.removeprefix('val_')}")
        assert said == pytest.approx([row[column] for row in alone.history], abs=1e-6)
    first, last = numbers(read(tmp_path / "runs/cnn1/whole/train"), "epoch_learning_rate")
    assert recipe.learning_rate > first > last >= 0


@pytest.mark.slow
def test_a_rerun_takes_the_place_of_the_last_and_touches_no_other_file(
    bright_and_dark, shared, recipe, make_callbacks, tmp_path
):
    folder = tmp_path / "runs/cnn1"
    for phase in ("whole/train", "fine_tune"):
        (folder / phase).mkdir(parents=True)
        (folder / phase / "events.out.tfevents.1.older").write_bytes(b"")
    (folder / "whole/mine.txt").write_text("mine")
    trained(bright_and_dark, shared, recipe.model_copy(update={"epochs": 1}), tmp_path, make_callbacks=make_callbacks)
    names = sorted(path.relative_to(folder).as_posix().split(".")[0] for path in folder.rglob("*") if path.is_file())
    assert names == ["whole/mine", "whole/train/events", "whole/validation/events"]


@pytest.mark.slow
def test_of_a_transfer_the_phase_that_has_epochs_is_recorded(
    bright_and_dark, shared, transfer_recipe, make_callbacks, tmp_path, monkeypatch
):
    publish(monkeypatch, "vgg16", draw_published("vgg16", tmp_path)[0])
    recipe = transfer_recipe.model_copy(update={"weights": "imagenet", "fine_tune": FineTuneParams(epochs=1)})
    trained(bright_and_dark, shared, recipe, tmp_path, "vgg16", make_callbacks=make_callbacks)
    assert len(numbers(read(tmp_path / "runs/vgg16/fine_tune/train"), "epoch_loss")) == 1
    assert [path.name for path in (tmp_path / "runs/vgg16").iterdir()] == ["fine_tune"]


@pytest.mark.slow
def test_without_the_package_one_sentence_says_how_to_install_it(monkeypatch, tmp_path):
    from cxr.training.loop import tensorboard_callbacks

    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(OutputError, match=r"TensorBoard is not installed.*pip install '\.\[tensorboard\]'"):
        tensorboard_callbacks(tmp_path)


@pytest.mark.slow
def test_a_file_in_place_of_the_folder_is_refused(make_callbacks, tmp_path):  # noqa: ARG001 - skips where it is absent
    from cxr.training.loop import tensorboard_callbacks

    (tmp_path / "runs").write_text("")
    with pytest.raises(OutputError, match="is a file; --runs and CXR_RUNS expect a folder"):
        tensorboard_callbacks(tmp_path / "runs")
