"""What TensorBoard can show, read back with its own reader; and that looking on changes no weight."""

import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from cxr.errors import OutputError
from cxr.models.weights import PUBLISHED
from cxr.training.params import FineTuneParams, HeadParams
from tests.published import draw_published

pytestmark = pytest.mark.slow

SCALARS = {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}
PICTURES = {"validation/confusion", "validation/answers"}


@pytest.fixture
def watch(tmp_path):
    pytest.importorskip("tensorboard", reason="the extra 'tensorboard' is not installed")
    from cxr.training.tensorboard import tensorboard_watch

    return tensorboard_watch(tmp_path / "runs")


@pytest.fixture
def drawn(monkeypatch):
    """Give the list of the shares of right answers in each matrix that is drawn."""
    from cxr.training import tensorboard

    shares, original = [], tensorboard.confusion_picture

    def spy(actual, predicted, classes):
        shares.append(np.mean(actual == predicted))
        return original(actual, predicted, classes)

    monkeypatch.setattr(tensorboard, "confusion_picture", spy)
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


def test_looking_on_changes_no_byte_of_the_weights_and_records_what_history_says(
    bright_and_dark, shared, recipe, watch, drawn, tmp_path
):
    alone, watched = (
        trained(bright_and_dark, shared, recipe, tmp_path, **options) for options in ({}, {"watch": watch})
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


def test_a_rerun_takes_the_place_of_the_last_and_touches_no_other_file(
    bright_and_dark, shared, recipe, watch, tmp_path
):
    folder = tmp_path / "runs/cnn1"
    for phase in ("whole", "fine_tune"):
        (folder / phase).mkdir(parents=True)
        (folder / phase / "events.out.tfevents.1.older").write_bytes(b"")
    (folder / "whole/mine.txt").write_text("mine")
    trained(bright_and_dark, shared, recipe.model_copy(update={"epochs": 1}), tmp_path, watch=watch)
    names = sorted(path.name.split(".")[0] for path in folder.rglob("*") if path.is_file())
    assert names == ["events", "mine"]
    assert steps(read(folder / "whole"), "loss") == [1]


def test_both_phases_of_a_transfer_are_recorded_and_epochs_go_on(
    bright_and_dark, shared, transfer_recipe, watch, tmp_path, monkeypatch
):
    monkeypatch.setitem(PUBLISHED, "vgg16", draw_published("vgg16", tmp_path)[0])
    parts = {"head": HeadParams(epochs=2, learning_rate=0.01), "fine_tune": FineTuneParams(epochs=1)}
    recipe = transfer_recipe.model_copy(update={"weights": "imagenet", **parts})
    trained(bright_and_dark, shared, recipe, tmp_path, "vgg16", watch=watch)
    recorded = {phase: read(tmp_path / "runs/vgg16" / phase) for phase in ("head", "fine_tune")}
    assert {phase: steps(events, "loss") for phase, events in recorded.items()} == {"head": [1, 2], "fine_tune": [3]}
    assert all(tags(events) == SCALARS | PICTURES for events in recorded.values())


def test_without_the_package_one_sentence_says_how_to_install_it(monkeypatch, tmp_path):
    from cxr.training.tensorboard import tensorboard_watch

    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(OutputError, match=r"TensorBoard is not installed.*pip install '\.\[tensorboard\]'"):
        tensorboard_watch(tmp_path)


def test_a_file_in_place_of_the_folder_is_refused(watch, tmp_path):  # noqa: ARG001 - skips where it is absent
    from cxr.training.tensorboard import tensorboard_watch

    (tmp_path / "runs").write_text("")
    with pytest.raises(OutputError, match="is a file; --runs and CXR_RUNS expect a folder"):
        tensorboard_watch(tmp_path / "runs")
