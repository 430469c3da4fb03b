"""Transfer learning in two phases: the head on features of the frozen backbone, then the backbone's last block with it.

After the guide of Keras, https://keras.io/guides/transfer_learning/: published weights are destroyed by the gradients
of an untrained head, so it learns alone first; and batch normalisation stays in inference mode throughout, as it was
published.
"""

from importlib import import_module

import numpy as np

from cxr.models.tf import keras, tf
from cxr.training.feature_cache import Features
from cxr.training.features import Extract
from cxr.training.loop import Examples, History, fit, optimise, smoothed
from cxr.training.params import TransferParams
from cxr.training.replicas import dealt_batch, even_batch, replicas
from cxr.training.watching import Fitting, PhaseName, Watch


def transfer(
    name: str,
    model: keras.Model,
    train: Examples,
    validation: Examples,
    recipe: TransferParams,
    seed: int,
    extract: Extract,
    watch: Watch,
) -> dict[PhaseName, History]:
    """Train `model` in place; afterwards it has the weights of the best epoch of both phases, by validation loss.

    Args:
        name: One of `cxr.models.TRANSFER`.
        model: Of that name, with published weights and a frozen backbone.
        train: Augmented in the second phase; in the first there is one vector an image.
        validation: Chooses the epoch.
        recipe: `head` and `fine_tune` have their own epochs and rate, each with its own warm-up and decay.
        seed: Of shuffling and augmentation.
        extract: From planes to the features of the frozen backbone.
        watch: Asked for callbacks once a phase.

    Returns:
        By phase, in order, as `fit`; epochs are numbered on.
    """
    phases: dict[PhaseName, History] = {"head": _fit_head(name, model, train, validation, recipe, seed, extract, watch)}
    if recipe.fine_tune.epochs:
        before = model.get_weights()
        unfreeze_last_block(name, model)
        tuning, passed = recipe.of(recipe.fine_tune), len(phases["head"])
        phases["fine_tune"] = fit(
            model, train, validation, tuning, seed, name, phase="fine_tune", first_epoch=passed, watch=watch
        )
        if not is_better(phases["fine_tune"], phases["head"]):
            model.set_weights(before)
    return phases


def is_better(one: History, other: History) -> bool:
    """Tell whether `one` reached a lower validation loss; one that is no number is not better."""
    best, best_other = (min(epoch["val_loss"] for epoch in history) for history in (one, other))
    return best < best_other


def unfreeze_last_block(name: str, model: keras.Model) -> None:
    """Let the convolutions of the backbone's last block learn, as its module names it; all else stays frozen.

    Only that keeps the statistics of batch normalisation: to call the backbone with `training=False`, as the guide
    does, is not enough in Keras 3, whose `fit` overrides it for every layer of a functional model.
    """
    body = model.get_layer(name)
    block = import_module(f"cxr.models.{name}").LAST_BLOCK
    body.trainable = True
    for layer in body.layers:
        layer.trainable = layer.name.startswith(block) and not isinstance(layer, keras.layers.BatchNormalization)


def _fit_head(
    name: str,
    model: keras.Model,
    train: Examples,
    validation: Examples,
    recipe: TransferParams,
    seed: int,
    extract: Extract,
    watch: Watch,
) -> History:
    learned, asked = extract(train.planes), extract(validation.planes)
    params = recipe.of(recipe.head)
    fitting = Fitting(name, "head", 0, params.epochs, asked, validation.planes, validation.targets, validation.classes)
    vectors = _dataset(learned, smoothed(train.targets, params.label_smoothing))
    devices = replicas()
    size, asked_size = even_batch(params.batch_size, devices), dealt_batch(len(asked), params.batch_size, devices)
    batches = vectors.shuffle(len(learned), seed=seed).batch(size, drop_remainder=devices > 1)
    checked = _dataset(asked, validation.targets).batch(asked_size)
    return optimise(head_of(model), batches, checked, params, fitting, watch)


def head_of(model: keras.Model) -> keras.Model:
    """Return the layers after pooling as a model of their own, float32 (n, d) to logits; weights are shared."""
    features = keras.Input(model.output["features"].shape[1:])
    return keras.Model(features, model.get_layer("logits")(model.get_layer("dropout")(features)))


def _dataset(features: Features, targets: "np.typing.NDArray[np.float32]") -> "tf.data.Dataset":
    return tf.data.Dataset.from_tensor_slices((features, targets))
