"""The only fit loop: AdamW with warm-up and cosine decay, early stopping on validation loss, best weights kept."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.models.tf import keras
from cxr.planes import Plane
from cxr.training.batches import ordered_batches, training_batches
from cxr.training.params import TrainParams
from cxr.training.progress import EpochLines

HISTORY_COLUMNS = ("loss", "accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True, slots=True)
class Examples:
    """Planes with their classes.

    Attributes:
        planes: uint8 (n, side, side).
        targets: float32 (n, classes), one in the column of the class, zero elsewhere.
    """

    planes: Plane
    targets: NDArray[np.float32]


def fit(
    model: keras.Model, train: Examples, validation: Examples, params: TrainParams, seed: int, name: str
) -> list[dict[str, float]]:
    """Train `model` in place; afterwards it has the weights of the epoch with the lowest validation loss.

    Args:
        model: From `cxr.models`; its output `logits` is trained.
        train: Shuffled and augmented every epoch.
        validation: Decides when to stop; its loss has no label smoothing.
        params: The recipe.
        seed: Of shuffling and augmentation.
        name: Printed with the progress.

    Returns:
        One dict an epoch: `epoch` from 1, and HISTORY_COLUMNS rounded to six decimals.
    """
    trained = keras.Model(model.inputs, model.output["logits"])
    steps = math.ceil(len(train.targets) / params.batch_size)
    trained.compile(
        optimizer=keras.optimizers.AdamW(_schedule(params, steps), weight_decay=params.weight_decay),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    targets = smoothed(train.targets, params.label_smoothing)
    best = keras.callbacks.EarlyStopping("val_loss", patience=params.patience, restore_best_weights=True)
    history = trained.fit(
        training_batches(train.planes, targets, params.batch_size, params.augment, seed),
        validation_data=ordered_batches(validation.planes, validation.targets, params.batch_size),
        epochs=params.epochs,
        shuffle=False,  # the batches come shuffled
        callbacks=[best, EpochLines(name, params.epochs)],
        verbose=0,
    )
    return _rows(history.history)


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


def _rows(history: dict[str, list[float]]) -> list[dict[str, float]]:
    epochs = zip(*(history[column] for column in HISTORY_COLUMNS), strict=True)
    return [
        {"epoch": number}
        | {column: round(float(value), 6) for column, value in zip(HISTORY_COLUMNS, values, strict=True)}
        for number, values in enumerate(epochs, start=1)
    ]
