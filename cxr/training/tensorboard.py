"""Let TensorBoard show a training: curves, graph, confusion and sample answers of every epoch.

A watch only looks: it draws no random number and changes no weight, so that the trained bytes are the same without it.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.errors import OutputError
from cxr.models.tf import keras, tf
from cxr.network import softmax
from cxr.training.pictures import confusion_picture, sample_sheet, spread
from cxr.training.watching import Fitting, Watch

PHASES = ("whole", "head", "fine_tune")
EVENTS = "events.out.tfevents.*"
BATCH = 64
SHOWN = 16


def tensorboard_watch(folder: Path) -> Watch:
    """Return a watch that records below `<folder>/<network>/<phase>/`; show it by `tensorboard --logdir <folder>`.

    The first phase of a training takes the place of all that an earlier training of the network recorded there.

    Args:
        folder: Made where it is absent.

    Raises:
        OutputError: TensorBoard is not installed, or `folder` is a file.
    """
    if find_spec("tensorboard") is None:
        raise OutputError(
            f"TensorBoard is not installed, so nothing can be recorded in {folder}: pip install '.[tensorboard]', "
            "or train without --runs and CXR_RUNS"
        )
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; --runs and CXR_RUNS expect a folder, which may be absent")

    def watch(fitting: Fitting) -> list[keras.callbacks.Callback]:
        return [Recorder(folder / fitting.name, fitting)]

    return watch


class Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Write one phase's events; epochs are numbered as in history.csv."""

    def __init__(self, folder: Path, fitting: Fitting) -> None:
        """Remove an earlier training's events and open the files of this one.

        Args:
            folder: Of the network; each phase has a folder within it.
            fitting: What is fitted.
        """
        super().__init__()
        self._fitting = fitting
        for phase in PHASES if fitting.first_epoch == 0 else (fitting.phase,):
            remove_events(folder / phase)
        (folder / fitting.phase).mkdir(parents=True, exist_ok=True)
        self._writer = tf.summary.create_file_writer(str(folder / fitting.phase))
        self._shown = spread(fitting.targets, SHOWN)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras's
        """Write the graph from inputs to logits."""
        self._answer = answering(self.model, self._fitting.inputs)
        with self._writer.as_default(step=self._fitting.first_epoch):
            tf.summary.graph(self._answer.get_concrete_function().graph)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write what Keras measured, the learning rate reached, and two pictures of the answers on validation."""
        scalars = dict(logs or {}) | {"learning_rate": float(self.model.optimizer.learning_rate)}
        probabilities = softmax(self._logits())
        fitting, shown = self._fitting, self._shown
        actual, predicted = fitting.targets.argmax(axis=1), probabilities.argmax(axis=1)
        pictures = {
            "validation/confusion": confusion_picture(actual, predicted, fitting.classes),
            "validation/answers": sample_sheet(
                fitting.planes[shown], actual[shown], probabilities[shown], fitting.classes
            ),
        }
        with self._writer.as_default(step=fitting.first_epoch + epoch + 1):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
            for name, picture in pictures.items():
                tf.summary.image(name, picture[np.newaxis])
        self._writer.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Close the files."""
        self._writer.close()

    def _logits(self) -> NDArray[np.float32]:
        inputs = self._fitting.inputs
        parts = [self._answer(inputs[start : start + BATCH]).numpy() for start in range(0, len(inputs), BATCH)]
        return np.concatenate(parts)


def remove_events(folder: Path) -> None:
    """Remove TensorBoard's files in `folder`, and no others: the folder is the user's choice."""
    for path in sorted(folder.glob(EVENTS)):
        path.unlink()


def answering(model: keras.Model, inputs: NDArray[Any]) -> "tf.types.experimental.PolymorphicFunction":
    """Return `model` as it answers after training, as one graph for batches of any size of what `inputs` are."""
    signature = [tf.TensorSpec((None, *inputs.shape[1:]), inputs.dtype)]
    return tf.function(lambda batch: model(batch, training=False), input_signature=signature)
