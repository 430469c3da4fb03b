"""What the person who waits sees: lines everywhere, the bar on a terminal alone."""

import io

import pytest
from rich.console import Console

from cxr.training.progress import EpochLines, epoch_bar

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
    from cxr.training import progress

    console = Console(file=io.StringIO(), force_terminal=True, width=120, highlight=False, soft_wrap=True)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
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
