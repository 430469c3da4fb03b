"""For the person who waits: one line an epoch, and on a terminal a bar that moves within the epoch."""

import atexit
import time
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cxr.models.backend import keras

BAR_WIDTH = 15  # so that the whole stands in 80 columns

Logs = dict[str, Any] | None  # as Keras hands them on


class EpochLines(keras.callbacks.Callback):  # type: ignore[misc]
    """Print a line after every epoch to stderr; where that is a terminal, also show a bar while an epoch runs.

    Times are of this phase: a later phase takes another time a step.
    """

    def __init__(self, name: str, epochs: int, first_epoch: int = 0) -> None:
        """Make the callback of one call of `fit`.

        Args:
            name: Of the network.
            epochs: Passes of this phase at most.
            first_epoch: Passes of earlier phases, on which the numbers go on.
        """
        super().__init__()
        self._name, self._epochs, self._first = name, epochs, first_epoch
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._started, self._best, self._best_epoch = time.monotonic(), float("inf"), 0
        self._bar = epoch_bar(self._console)
        self._task = self._bar.add_task("", total=None, best="", left="")

    def on_train_begin(self, logs: Logs = None) -> None:  # noqa: ARG002 - Keras's
        """Show the bar."""
        # Keras says nothing when a fit breaks off, and the bar hides the cursor.
        atexit.register(self._bar.stop)
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Empty the bar."""
        self._epoch, title = epoch, f"{self._name} {self._number(epoch)}"
        # All fields, because a reset forgets those that it is not given.
        best, left = self._best_so_far(), self._left(epoch)
        self._bar.reset(self._task, total=self.params["steps"], description=title, best=best, left=left)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Move the bar; Keras calls this after every few steps."""
        # Keras counts in calls of several steps, the last of which may hold fewer.
        done = min(batch + 1, self.params["steps"])
        self._bar.update(self._task, completed=done, left=self._left(self._epoch + done / self.params["steps"]))

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Print; Keras calls this with `loss`, `accuracy`, `val_loss` and `val_accuracy`."""
        logs = logs or {}
        if logs["val_loss"] < self._best:
            self._best, self._best_epoch = logs["val_loss"], self._first + epoch + 1
        self._console.print(
            f"{self._name} {self._number(epoch)}  loss {logs['loss']:.4f}  val_loss {logs['val_loss']:.4f}  "
            f"val_accuracy {logs['val_accuracy']:.3f}  {self._best_so_far()}  {self._left(epoch + 1)}"
        )

    def on_train_end(self, logs: Logs = None) -> None:  # noqa: ARG002
        """Take the bar away."""
        self._bar.stop()
        atexit.unregister(self._bar.stop)

    def _number(self, epoch: int) -> str:
        return f"epoch {self._first + epoch + 1}/{self._first + self._epochs}"

    def _best_so_far(self) -> str:
        return f"best {self._best:.4f} (epoch {self._best_epoch})" if self._best_epoch else ""

    def _left(self, passed: float) -> str:
        if not passed:
            return ""
        spent = time.monotonic() - self._started
        return f"left {timedelta(seconds=round(spent / passed * (self._epochs - passed)))}"


def epoch_bar(console: Console) -> Progress:
    """Return a bar of steps with the fields `best` and `left`, which goes when it stops; no terminal, nothing shown."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(BAR_WIDTH),
        MofNCompleteColumn(),
        TextColumn("{task.fields[best]}  {task.fields[left]}"),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
