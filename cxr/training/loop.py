"""The only fit loop: AdamW with warm-up and cosine decay, early stopping on validation loss, best weights kept.

For the person who waits it says one line an epoch, and on a terminal shows a bar that moves within the epoch; what
TensorBoard shows of it is recorded on request.
"""

import atexit
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cxr.core.errors import DataError, OutputError
from cxr.core.files import remove, whole_file
from cxr.core.image import Plane
from cxr.models import AugmentParams, TrainParams
from cxr.models.layers import keras, tf
from cxr.training.augmentation import augmented

Targets = NDArray[np.float32]

# Batches are a function of the draws alone, so several can be made at once.
AUGMENTING_THREADS = 2
AHEAD = 4


def training_batches(
    planes: Plane,
    targets: Targets,
    batch_size: int,
    augment: AugmentParams,
    seed: int,
    *,
    weights: Targets | None = None,
) -> "tf.data.Dataset":
    """Give shuffled, augmented batches, another order and other variations each epoch, the same for the same seed.

    Args:
        planes: uint8 (n, side, side).
        targets: float32 (n, classes), each row sums to one.
        batch_size: Images a batch.
        augment: How far images are varied.
        seed: Of order and variations.
        weights: float32 (n,), of each image in the loss, third in a batch; None: no third.
    """
    each = (targets,) if weights is None else (targets, weights)
    shuffled = _dataset(planes, *each).shuffle(len(planes), seed=seed).batch(batch_size)
    draws = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)
    varied = tf.data.Dataset.zip(shuffled, draws).map(
        lambda batch, draw: (augmented(batch[0], augment, draw), *batch[1:]), num_parallel_calls=AUGMENTING_THREADS
    )
    return varied.prefetch(AHEAD)


def ordered_batches(planes: Plane, targets: Targets, batch_size: int) -> "tf.data.Dataset":
    """Give the images as they are, in order."""
    return _dataset(planes, targets).batch(batch_size).prefetch(AHEAD)


def _dataset(planes: Plane, *each: Targets) -> "tf.data.Dataset":
    return tf.data.Dataset.from_tensor_slices((planes[..., np.newaxis], *each))


PhaseName = Literal["whole", "head", "fine_tune"]


@dataclass(frozen=True, slots=True)
class Phase:
    """One call of the fit loop.

    Attributes:
        network: Its name, as printed with the progress.
        name: `whole` trains every weight, or the part of a transfer.
        first_epoch: Epochs run by earlier phases, on which the printed numbers go on; Keras counts each from 0.
    """

    network: str
    name: PhaseName = "whole"
    first_epoch: int = 0


class Schedule(Protocol):
    """What a fit needs of a recipe."""

    @property
    def epochs(self) -> int:
        """Passes over the training images at most."""

    @property
    def patience(self) -> int:
        """Epochs without a better validation loss before training stops."""

    @property
    def learning_rate(self) -> float:
        """Peak of the learning rate."""

    @property
    def warmup(self) -> float:
        """Share of all steps over which the rate rises to its peak."""

    @property
    def weight_decay(self) -> float:
        """Decoupled weight decay of AdamW."""


CallbackFactory = Callable[[Phase], Sequence[keras.callbacks.Callback]]


def no_callbacks(phase: Phase) -> Sequence[keras.callbacks.Callback]:  # noqa: ARG001 - as every CallbackFactory
    """Return none."""
    return ()


# Steps that TensorFlow takes before Python is asked again; no result depends on it.
STEPS_PER_CALL = 8
HISTORY_FILE = "history.csv"
HISTORY_COLUMNS = ("loss", "accuracy", "val_loss", "val_accuracy")

History = list[dict[str, float]]


@dataclass(frozen=True, slots=True)
class Examples:
    """Planes with their classes.

    Attributes:
        planes: uint8 (n, side, side).
        targets: float32 (n, classes), one in the column of the class, zero elsewhere.
        classes: Names of the columns.
        weights: float32 (n,), of each image in the loss; None: one each.
    """

    planes: Plane
    targets: NDArray[np.float32]
    classes: tuple[str, ...]
    weights: NDArray[np.float32] | None = None


def fit(
    model: keras.Model,
    train: Examples,
    validation: Examples,
    params: TrainParams,
    seed: int,
    phase: Phase,
    make_callbacks: CallbackFactory = no_callbacks,
) -> History:
    """Train `model` in place; afterwards it has the weights of the epoch with the lowest validation loss.

    Args:
        model: From `cxr.models`; its output `logits` is trained.
        train: Shuffled and augmented every epoch.
        validation: Decides when to stop; its loss has no label smoothing.
        params: The recipe.
        seed: Of shuffling and augmentation.
        phase: What is trained.
        make_callbacks: Asked for callbacks, which must change nothing.

    Returns:
        One dict an epoch: `epoch` from `phase.first_epoch` + 1, and HISTORY_COLUMNS rounded to six decimals.
    """
    targets = smoothed(train.targets, params.label_smoothing)
    return optimise(
        keras.Model(model.inputs, model.output["logits"]),
        training_batches(train.planes, targets, params.batch_size, params.augment, seed, weights=train.weights),
        ordered_batches(validation.planes, validation.targets, params.batch_size),
        params,
        phase,
        make_callbacks,
    )


Task = tuple[Any, keras.metrics.Metric]  # the loss of targets and logits, and the metric `accuracy`


def one_class() -> Task:
    """Return the task of naming one of several classes."""
    return keras.losses.CategoricalCrossentropy(from_logits=True), keras.metrics.CategoricalAccuracy(name="accuracy")


def optimise(
    model: keras.Model,
    batches: "tf.data.Dataset",
    checked: "tf.data.Dataset",
    params: Schedule,
    phase: Phase,
    make_callbacks: CallbackFactory = no_callbacks,
    task: Task | None = None,
) -> History:
    """Compile and fit a model whose output is logits, as `fit`, on any kind of input.

    Args:
        model: From inputs to logits (n, classes); what is trainable in it learns.
        batches: Inputs and float32 targets of one epoch, of known number.
        checked: The same of validation.
        params: The recipe.
        phase: What is trained.
        make_callbacks: As in `fit`.
        task: What the logits are to be; None: of one class of several.
    """
    loss, accuracy = task or one_class()
    steps = int(batches.cardinality())
    model.compile(
        optimizer=keras.optimizers.AdamW(_schedule(params, steps), weight_decay=params.weight_decay),
        loss=loss,
        metrics=[accuracy],
        steps_per_execution=min(STEPS_PER_CALL, steps),
    )
    # Else the first trace of a step makes the optimizer's variables, and TensorFlow traces every step a second time.
    model.optimizer.build(model.trainable_variables)
    best = keras.callbacks.EarlyStopping("val_loss", patience=params.patience, restore_best_weights=True)
    lines = EpochLines(phase.network, params.epochs, phase.first_epoch)
    history = model.fit(
        batches,
        validation_data=checked,
        epochs=params.epochs,
        shuffle=False,  # the batches come shuffled
        callbacks=[best, lines, *make_callbacks(phase)],
        verbose=0,
    )
    return _rows(history.history, phase.first_epoch)


def smoothed(targets: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Spread `share` of each target evenly over all classes (Szegedy et al. 2016); validation keeps its own."""
    return np.asarray(targets * (1 - share) + share / targets.shape[1], np.float32)


def _schedule(params: Schedule, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    total = steps * params.epochs
    warmup = round(total * params.warmup)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=params.learning_rate / 100,
        decay_steps=max(total - warmup, 1),
        warmup_target=params.learning_rate,
        warmup_steps=warmup,
    )


def _rows(history: dict[str, list[float]], first_epoch: int) -> History:
    epochs = zip(*(history[column] for column in HISTORY_COLUMNS), strict=True)
    return [
        {"epoch": number}
        | {column: round(float(value), 6) for column, value in zip(HISTORY_COLUMNS, values, strict=True)}
        for number, values in enumerate(epochs, start=first_epoch + 1)
    ]


def write_history(folder: Path, history: History) -> None:
    """Write HISTORY_FILE: a row an epoch."""
    with whole_file(folder / HISTORY_FILE) as temporary:
        table = pd.DataFrame(history, columns=["epoch", *HISTORY_COLUMNS])
        table.to_csv(temporary, index=False, lineterminator="\n")


def examples(table: pd.DataFrame, images: Plane, split: str, classes: tuple[str, ...]) -> Examples:
    """Gather the planes and one-hot targets of one split, in the table's order.

    Args:
        table: A split table.
        images: uint8 (n, side, side), all of them.
        split: `train`, `validation` or `test`.
        classes: Order of the target columns.

    Raises:
        DataError: The split has no rows, or a label is not among `classes`.
    """
    rows = table[table["split"] == split]
    unknown = sorted(set(rows["label"]) - set(classes))
    if rows.empty or unknown:
        fault = f"labels {unknown} that are not in params.yaml 'classes'" if unknown else f"no rows for {split}"
        raise DataError(f"the split table has {fault}; run: dvc repro split")
    numbers = rows["label"].map({label: number for number, label in enumerate(classes)}).to_numpy()
    planes = np.ascontiguousarray(images[rows["index"].to_numpy()])
    return Examples(planes, np.eye(len(classes), dtype=np.float32)[numbers], classes)


def weighted(train: Examples, table: pd.DataFrame, evenness: float) -> Examples:
    """Give each training image its weight in the loss, so that classes count alike, and their sources more alike.

    A source with n images of its class counts as n ** (1 - evenness) there.

    Args:
        train: The examples of the split `train`.
        table: The split table that they were gathered from.
        evenness: 0 leaves every image its weight of one, whatever the classes' sizes; 1 makes sources count alike.

    Returns:
        The examples, with weights of mean one.
    """
    if not evenness:
        return train
    rows = table[table["split"] == "train"]
    sizes = rows.groupby(["label", "source"])["file"].transform("size").to_numpy(np.float64)
    weights = pd.Series(sizes**-evenness, rows.index)
    shares = (weights / weights.groupby(rows["label"]).transform("sum")).to_numpy()
    return replace(train, weights=np.asarray(shares * len(rows) / rows["label"].nunique(), np.float32))


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


EVENTS = "**/events.out.tfevents.*"


def tensorboard_callbacks(folder: Path) -> CallbackFactory:
    """Return what records below `<folder>/<network>/<phase>/`; show it by `tensorboard --logdir <folder>`.

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

    def make_callbacks(phase: Phase) -> list[keras.callbacks.Callback]:
        own = folder / phase.network
        if phase.first_epoch == 0:
            # Those files and no others: the folder is the user's choice.
            for path in sorted(own.glob(EVENTS)):
                remove(path)
        return [keras.callbacks.TensorBoard(own / phase.name)]

    return make_callbacks
