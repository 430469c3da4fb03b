"""The only fit loop: AdamW with warm-up and cosine decay, early stopping on validation loss, best weights kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr.core.errors import DataError, ParamsError
from cxr.core.image import Plane
from cxr.models.backend import keras, tf
from cxr.training.augmentation import augmented
from cxr.training.params import AugmentParams, TrainParams
from cxr.training.progress import EpochLines

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
    whole: bool = False,
) -> "tf.data.Dataset":
    """Give shuffled, augmented batches, another order and other variations each epoch, the same for the same seed.

    Args:
        planes: uint8 (n, side, side).
        targets: float32 (n, classes), each row sums to one.
        batch_size: Images a batch.
        augment: How far images are varied.
        seed: Of order and variations.
        weights: float32 (n,), of each image in the loss, third in a batch; None: no third.
        whole: Leave out the last batch of an epoch where it is smaller.
    """
    each = (targets,) if weights is None else (targets, weights)
    shuffled = _dataset(planes, *each).shuffle(len(planes), seed=seed).batch(batch_size, drop_remainder=whole)
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


def replicas() -> int:
    """Return on how many devices a model is built that is built here; 1 outside of a strategy's scope."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


class EqualStatistics(keras.callbacks.Callback):  # type: ignore[misc]
    """Before each validation, give all copies the mean of their statistics of batch normalisation.

    Keras keeps them apart, one for each device's share of the batches: validation would ask other networks than the
    one that is kept, which has the first device's. On one device it changes nothing.
    """

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras's signature
        """Keras calls this in `fit` before it validates."""
        strategy = self.model.distribute_strategy
        if strategy.num_replicas_in_sync == 1:
            return
        for variable in self.model.non_trainable_variables:
            if "float" in variable.dtype:  # not the state of dropout
                variable.assign(strategy.reduce(tf.distribute.ReduceOp.MEAN, variable.value, axis=None))


def steps_per_call(most: int, steps: int, devices: int) -> int:
    """Return how many of `steps` TensorFlow may take before Python is asked again: at most `most`.

    One on several devices: TensorFlow 2.21 fails there when it runs Keras's loop over steps.
    """
    return min(most, steps) if devices == 1 else 1


def even_batch(batch_size: int, devices: int) -> int:
    """Return `batch_size`, rounded up to a multiple of `devices`.

    For training batches, whose rest must be dropped on several devices (`drop_remainder=devices > 1`): Keras wants
    equal shares of the first batch, and convolutions fail on a device that is left without an image by the last one.
    """
    return -(-batch_size // devices) * devices


def dealt_batch(images: int, batch_size: int, devices: int) -> int:
    """Return the batch size for images of which none may be dropped: that of the recipe on one device.

    On several it is the nearest below, or else above, that starts with equal shares and ends with an image for every
    device. A batch of k is dealt in shares of ceil(k / devices).

    Raises:
        ParamsError: There is none.
    """
    for size in chain(range(batch_size, 0, -1), range(batch_size + 1, images + 1)):
        if min(size, images) % devices == 0 and _reaches_all(images % size, devices):
            return size
    raise ParamsError(f"{images} images cannot be dealt to {devices} devices; set runtime.devices to 'one_gpu'")


def _reaches_all(batch: int, devices: int) -> bool:
    share = -(-batch // devices)
    return batch == 0 or -(-batch // share) == devices


PhaseName = Literal["whole", "head", "fine_tune"]


@dataclass(frozen=True, slots=True)
class Fitting:
    """One call of the fit loop.

    Attributes:
        name: Of the network, as printed with the progress.
        phase: `whole` trains every weight, or the part of a transfer.
        first_epoch: Epochs run by earlier phases. Keras counts each phase from 0; add this.
        epochs: Passes of this phase at most.
        inputs: What the fitted model is asked on validation: uint8 (n, side, side, 1), or float32 (n, d) features.
        planes: The same images, uint8 (n, side, side).
        targets: float32 (n, classes), one in the column of the class, zero elsewhere.
        classes: Names of the columns, and of the fitted model's logits.
    """

    name: str
    phase: PhaseName
    first_epoch: int
    epochs: int
    inputs: NDArray[Any]
    planes: Plane
    targets: NDArray[np.float32]
    classes: tuple[str, ...]


CallbackFactory = Callable[[Fitting], Sequence[keras.callbacks.Callback]]


def no_callbacks(fitting: Fitting) -> Sequence[keras.callbacks.Callback]:  # noqa: ARG001 - as every Watch
    """Look at nothing."""
    return ()


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
    make_callbacks: CallbackFactory = no_callbacks,
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
        make_callbacks: Asked for callbacks, which must change nothing.

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
        make_callbacks,
    )


def optimise(
    model: keras.Model,
    batches: "tf.data.Dataset",
    checked: "tf.data.Dataset",
    params: TrainParams,
    fitting: Fitting,
    make_callbacks: CallbackFactory,
) -> History:
    """Compile and fit a model whose output is logits, as `fit`, on any kind of input.

    Args:
        model: From inputs to logits (n, classes); what is trainable in it learns.
        batches: Inputs and float32 targets of one epoch, of known number.
        checked: The same of validation.
        params: The recipe.
        fitting: What `make_callbacks` is told.
        make_callbacks: As in `fit`.
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
        callbacks=[EqualStatistics(), best, lines, *make_callbacks(fitting)],
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
