"""One line an epoch for the person who waits: losses, best so far, time left."""

import time
from datetime import timedelta
from typing import Any

from rich.console import Console

from cxr.models.tf import keras


class EpochLines(keras.callbacks.Callback):  # type: ignore[misc]
    """Print a line after every epoch to stderr."""

    def __init__(self, name: str, epochs: int) -> None:
        super().__init__()
        self._name, self._epochs = name, epochs
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._started, self._best, self._best_epoch = time.monotonic(), float("inf"), 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Print; Keras calls this with `loss`, `accuracy`, `val_loss` and `val_accuracy`."""
        logs = logs or {}
        if logs["val_loss"] < self._best:
            self._best, self._best_epoch = logs["val_loss"], epoch + 1
        spent = time.monotonic() - self._started
        left = timedelta(seconds=round(spent / (epoch + 1) * (self._epochs - epoch - 1)))
        self._console.print(
            f"{self._name} epoch {epoch + 1}/{self._epochs}  loss {logs['loss']:.4f}  val_loss {logs['val_loss']:.4f}  "
            f"val_accuracy {logs['val_accuracy']:.3f}  best {self._best:.4f} (epoch {self._best_epoch})  left {left}"
        )
