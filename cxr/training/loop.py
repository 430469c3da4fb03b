"""The only fit loop: AdamW with warm-up and cosine decay, early stopping on validation loss, best weights kept."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.models.tf import keras, tf
from cxr.planes import Plane
from cxr.training.batches import ordered_batches, training_batches
from cxr.training.params import TrainParams
from cxr.training.progress import EpochLines
from cxr.training.replicas import EqualStatistics, dealt_batch, even_batch, replicas, steps_per_call
from cxr.training.watching import Fitting, PhaseName, Watch, nobody

# Steps that TensorFlow takes before Python is asked again; no result depends on it.
STEPS_PER_CALL = 8
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
    name: str,
    *,
    phase: PhaseName = "whole",
    first_epoch: int = 0,
    watch: Watch = nobody,
) -> History:
    """Train `model` in place; afterwards it has the weights of the epoch with the lowest validation loss.

    Args:
        model: From `cxr.models`; its output `logits` is trained.
        train: Shuffled and augmented every epoch.
        validation: Decides when to stop; its loss has no label smoothing.
        params: The recipe.
        seed: Of shuffling and augmentation.
        name: Printed with the progress.
        phase: What is trained, for who watches.
        first_epoch: Epochs run before, on which the numbers go on.
        watch: Asked for callbacks, which must change nothing.

    Returns:
        One dict an epoch: `epoch` from `first_epoch` + 1, and HISTORY_COLUMNS rounded to six decimals.
    """
    asked = validation.planes[..., np.newaxis]
    fitting = Fitting(
        name, phase, first_epoch, params.epochs, asked, validation.planes, validation.targets, validation.classes
    )
    targets = smoothed(train.targets, params.label_smoothing)
    devices = replicas()
    size, asked_size = even_batch(params.batch_size, devices), dealt_batch(len(asked), params.batch_size, devices)
    return optimise(
        keras.Model(model.inputs, model.output["logits"]),
        training_batches(train.planes, targets, size, params.augment, seed, weights=train.weights, whole=devices > 1),
        ordered_batches(validation.planes, validation.targets, asked_size),
        params,
        fitting,
        watch,
    )


def optimise(
    model: keras.Model,
    batches: "tf.data.Dataset",
    checked: "tf.data.Dataset",
    params: TrainParams,
    fitting: Fitting,
    watch: Watch,
) -> History:
    """Compile and fit a model whose output is logits, as `fit`, on any kind of input.

    Args:
        model: From inputs to logits (n, classes); what is trainable in it learns.
        batches: Inputs and float32 targets of one epoch, of known number.
        checked: The same of validation.
        params: The recipe.
        fitting: What `watch` is told.
        watch: As in `fit`.
    """
    steps = int(batches.cardinality())
    model.compile(
        optimizer=keras.optimizers.AdamW(_schedule(params, steps), weight_decay=params.weight_decay),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        steps_per_execution=steps_per_call(STEPS_PER_CALL, steps, replicas()),
    )
    best = keras.callbacks.EarlyStopping("val_loss", patience=params.patience, restore_best_weights=True)
    lines = EpochLines(fitting.name, params.epochs, fitting.first_epoch)
    history = model.fit(
        batches,
        validation_data=checked,
        epochs=params.epochs,
        shuffle=False,  # the batches come shuffled
        callbacks=[EqualStatistics(), best, lines, *watch(fitting)],
        verbose=0,
    )
    return _rows(history.history, fitting.first_epoch)


def smoothed(targets: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Spread `share` of each target evenly over all classes (Szegedy et al. 2016); validation keeps its own."""
    return np.asarray(targets * (1 - share) + share / targets.shape[1], np.float32)


def _schedule(params: TrainParams, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
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
