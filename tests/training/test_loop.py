"""What the person who waits sees: lines everywhere, the bar on a terminal alone."""

import io

import numpy as np
import pytest
from rich.console import Console

from cxr.models import AugmentParams
from cxr.training.loop import EpochLines, epoch_bar, ordered_batches, smoothed, training_batches
from tests.tables import manifest
from tests.training.conftest import NO_CHANGE

pytestmark = pytest.mark.slow

PLANES = np.random.default_rng(1).integers(0, 256, (20, 32, 32), dtype=np.uint8)
TARGETS = np.eye(20, dtype=np.float32)


def drawn(seed, augment):
    batches = training_batches(PLANES, TARGETS, 8, augment, seed)
    return [(images.numpy(), targets.numpy()) for _ in range(2) for images, targets in batches]


def test_without_augmentation_each_image_comes_once_an_epoch_with_its_own_target():
    images = np.concatenate([batch for batch, _ in drawn(1, NO_CHANGE)])
    numbers = np.concatenate([targets.argmax(axis=1) for _, targets in drawn(1, NO_CHANGE)])
    assert sorted(numbers[:20]) == sorted(numbers[20:]) == list(range(20))
    assert np.abs(images[..., 0].astype(int) - PLANES[numbers].astype(int)).max() <= 1
    assert images.dtype == np.uint8


def test_epochs_differ_in_order_and_runs_do_not():
    first, again = drawn(1, AugmentParams()), drawn(1, AugmentParams())
    assert all(np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    orders = np.concatenate([targets.argmax(axis=1) for _, targets in first])
    assert orders[:20].tolist() != orders[20:].tolist()


def test_validation_comes_in_order_and_unchanged():
    images = np.concatenate([batch.numpy() for batch, _ in ordered_batches(PLANES, TARGETS, 8)])
    assert np.array_equal(images[..., 0], PLANES)


def test_smoothing_spreads_a_share_evenly():
    rows = smoothed(np.eye(2, dtype=np.float32), 0.1)
    assert rows.tolist() == pytest.approx(np.array([[0.95, 0.05], [0.05, 0.95]]))


SOURCES = ["a"] * 9 + ["b"] * 1 + ["a"] * 10


@pytest.fixture
def table():
    return manifest({"covid": 10, "normal": 10}).assign(split="train", source=SOURCES)


def weights_of(table, evenness):
    from cxr.training.loop import examples, weighted

    planes = np.zeros((20, 8, 8), np.uint8)
    return weighted(examples(table, planes, "train", ("covid", "normal")), table, evenness).weights


def test_without_evenness_there_are_no_weights(table):
    assert weights_of(table, 0.0) is None


def test_with_full_evenness_sources_of_a_class_and_classes_count_alike(table):
    weights = weights_of(table, 1.0)
    assert weights.dtype == np.float32
    assert weights[:9].sum() == pytest.approx(weights[9]) == pytest.approx(5)
    assert weights[10:].tolist() == pytest.approx([1.0] * 10)


def test_half_evenness_lies_between_and_the_mean_is_one(table):
    weights = weights_of(table, 0.5)
    assert weights[9] / weights[0] == pytest.approx(3)  # the root of nine
    assert weights.mean() == pytest.approx(1)


def test_a_smaller_class_counts_as_much_as_a_larger_one(table):
    rows = table.drop(index=[1, 2, 3, 4])
    weights = weights_of(rows, 0.5)
    assert weights[:6].sum() == pytest.approx(weights[6:].sum())


LOGS = [{"loss": 0.9, "accuracy": 0.5, "val_loss": 0.8, "val_accuracy": 0.5}, {"loss": 0.5, "accuracy": 0.7}]
LOGS[1] |= {"val_loss": 0.9, "val_accuracy": 0.25}


def run(lines, steps=10):
    """Call back as Keras does in a fit of two epochs."""
    lines.set_params({"steps": steps})
    lines.on_train_begin()
    for epoch, logs in enumerate(LOGS):
        lines.on_epoch_begin(epoch)
        for batch in (3, 7, 11):  # Keras counts calls of four steps
            lines.on_train_batch_end(batch)
        lines.on_epoch_end(epoch, logs)
    lines.on_train_end()


def test_lines_number_epochs_on_and_know_the_best(capsys):
    run(EpochLines("vgg16", 2, first_epoch=5))
    printed = capsys.readouterr().err.splitlines()
    assert [line.rsplit("  left", 1)[0] for line in printed] == [
        "vgg16 epoch 6/7  loss 0.9000  val_loss 0.8000  val_accuracy 0.500  best 0.8000 (epoch 6)",
        "vgg16 epoch 7/7  loss 0.5000  val_loss 0.9000  val_accuracy 0.250  best 0.8000 (epoch 6)",
    ]
    assert printed[-1].endswith("left 0:00:00")


@pytest.fixture
def terminal(monkeypatch):
    """Give what would appear on a terminal of 120 columns."""
    console = Console(file=io.StringIO(), force_terminal=True, width=120, highlight=False, soft_wrap=True)
    monkeypatch.setattr("cxr.training.loop.Console", lambda **_: console)
    return console.file


def test_a_terminal_shows_steps_epoch_best_and_time_left_within_the_epoch(terminal, monkeypatch):
    lines = EpochLines("cnn1", 2)
    bar, drawn = lines._bar, []
    original = bar.update

    def spy(*args, **kwargs):
        original(*args, **kwargs)
        bar.refresh()
        task = bar.tasks[0]
        drawn.append((task.description, task.completed, task.total, task.fields["best"]))

    monkeypatch.setattr(bar, "update", spy)
    run(lines)
    assert ("cnn1 epoch 1/2", 4, 10, "") in drawn
    assert max(completed for _, completed, _, _ in drawn) == 10
    assert ("cnn1 epoch 2/2", 8, 10, "best 0.8000 (epoch 1)") in drawn
    shown = terminal.getvalue()
    assert "cnn1 epoch 2/2" in shown
    assert "8/10" in shown
    assert "left 0:00:0" in shown


def test_the_bar_goes_and_gives_the_cursor_back(terminal):
    run(EpochLines("cnn1", 2))
    shown = terminal.getvalue()
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1
    assert shown.index("\x1b[?25h") > shown.index("\x1b[?25l")


def test_no_terminal_no_bar():
    file = io.StringIO()
    with epoch_bar(Console(file=file)) as bar:
        bar.update(bar.add_task("x", total=3, best="", left=""), completed=2)
    assert file.getvalue() == ""
