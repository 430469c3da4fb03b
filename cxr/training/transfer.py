"""Transfer learning in two phases: the head on features of the frozen backbone, then the backbone's last block with it.

After the guide of Keras, https://keras.io/guides/transfer_learning/: published weights are destroyed by the gradients
of an untrained head, so it learns alone first; and batch normalisation stays in inference mode throughout, as it was
published.
"""

import hashlib
import json
import math
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr import models
from cxr.core.files import JsonObject, sha256_of, whole_file
from cxr.core.image import Plane, pixels_digest
from cxr.core.params import RuntimeParams
from cxr.models.backend import keras, tf
from cxr.training.devices import environment
from cxr.training.loop import (
    CallbackFactory,
    Examples,
    Fitting,
    History,
    PhaseName,
    dealt_batch,
    even_batch,
    fit,
    optimise,
    replicas,
    smoothed,
)
from cxr.training.params import TransferParams

Features = NDArray[np.float32]
DIGEST_BYTES = 32


def cached(folder: Path | None, key: str, compute: Callable[[], Features]) -> Features:
    """Return what `compute` returns, from `folder` if it was kept there, else computed and kept.

    A file is an array as NumPy saves it, followed by the SHA-256 of key and array: one that was altered, cut short or
    renamed is computed again, and so is one that cannot be read. Where nothing can be written, a line on stderr says
    so. Two processes may share the folder.

    Args:
        folder: Is made; None keeps nothing.
        key: Hexadecimal digest of all that the array follows from.
        compute: Called without a usable file, once.
    """
    if folder is None:
        return compute()
    path = folder / f"{key}.npy"
    kept = _read(path, key)
    if kept is not None:
        return kept
    features = compute()
    _write(path, key, features)
    return features


def _read(path: Path, key: str) -> Features | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _say(f"{path} cannot be read ({error.strerror}); its features are computed again")
        return None
    array, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    if _digest(key, array) != digest:
        _say(f"{path} was altered or cut short; its features are computed again")
        return None
    return np.asarray(np.load(BytesIO(array), allow_pickle=False), np.float32)


def _write(path: Path, key: str, features: Features) -> None:
    buffer = BytesIO()
    np.save(buffer, features, allow_pickle=False)
    try:
        with whole_file(path) as temporary:
            temporary.write_bytes(buffer.getvalue() + _digest(key, buffer.getvalue()))
    except OSError as error:
        _say(f"{path} cannot be written ({error.strerror}); the next training computes the features again")


def _digest(key: str, array: bytes) -> bytes:
    return hashlib.sha256(key.encode() + array).digest()


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


# Of every batch, the last one padded: another size may choose another kernel, which adds in another order.
FEATURE_BATCH = 32

Extract = Callable[[Plane], Features]
Ask = Callable[[Plane], "tf.Tensor"]


def extractor(
    name: str, model: keras.Model, side: int, weights: Path, runtime: RuntimeParams, cache: Path | None
) -> Extract:
    """Return the function from planes to the network's output `features`, which looks into the cache first.

    Args:
        name: One of `cxr.models.TRANSFER`.
        model: Of that name, its backbone still with the published weights.
        side: Of the network's own input, pixels.
        weights: The file of published weights.
        runtime: The arithmetic is part of the result.
        cache: Features are kept in its folder `features`; None keeps nothing.
    """
    origin = origin_of(name, side, weights, runtime)
    folder, ask = cache / "features" if cache else None, asking(model)

    def compute(planes: Plane) -> Features:
        sys.stderr.write(f"{name}: computing the features of {len(planes)} images, once for all epochs\n")
        return pooled_features(ask, planes)

    return lambda planes: cached(folder, feature_key(origin, planes), partial(compute, planes))


def asking(model: keras.Model) -> Ask:
    """Return what gives a network's output `features`, without augmentation and in inference mode.

    Its graph is made at the first call, and once: for a deep backbone that takes as long as a hundred images.

    Args:
        model: From `cxr.models`.

    Returns:
        A function from uint8 (FEATURE_BATCH, side, side, 1) to float32 (FEATURE_BATCH, d).
    """
    inner = keras.Model(model.inputs, model.output["features"])
    spec = tf.TensorSpec((FEATURE_BATCH, *model.input_shape[1:]), tf.uint8)
    ask: Ask = tf.function(lambda batch: tf.cast(inner(batch, training=False), tf.float32), input_signature=[spec])
    return ask


def pooled_features(ask: Ask, planes: Plane) -> Features:
    """Ask a network for its features of any number of planes.

    Args:
        ask: From `asking`.
        planes: uint8 (n, side, side), at least one.

    Returns:
        float32 (n, d), d being 512 for VGG16 and 2048 for ResNet50; a row depends on its own plane alone.
    """
    padding = -len(planes) % FEATURE_BATCH
    padded = np.pad(planes, ((0, padding), (0, 0), (0, 0)))[..., np.newaxis]
    parts = [ask(batch).numpy() for batch in np.split(padded, math.ceil(len(planes) / FEATURE_BATCH))]
    return np.concatenate(parts)[: len(planes)]


def origin_of(name: str, side: int, weights: Path, runtime: RuntimeParams) -> JsonObject:
    """Return all that features follow from but the planes: code, weights, arithmetic, versions, class of machine.

    The preprocessing is part of the code and of Keras's version. Code is compared as text, as DVC does.
    """
    folder = Path(models.__file__).parent
    code = [Path(__file__), *(folder / f"{module}.py" for module in (name, "keras_applications", "layers"))]
    return {
        "network": name,
        "side": side,
        "weights": sha256_of(weights),
        "code": [sha256_of(path) for path in code],
        "runtime": runtime.model_dump(mode="json"),
        "environment": environment(),
    }


def feature_key(origin: JsonObject, planes: Plane) -> str:
    """Return the SHA-256 that names the features of `planes`, 64 hexadecimal digits."""
    whole = origin | {"planes": pixels_digest(planes)}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def transfer(
    name: str,
    model: keras.Model,
    train: Examples,
    validation: Examples,
    recipe: TransferParams,
    seed: int,
    extract: Extract,
    make_callbacks: CallbackFactory,
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
        make_callbacks: Asked for callbacks once a phase.

    Returns:
        By phase, in order, as `fit`; epochs are numbered on.
    """
    phases: dict[PhaseName, History] = {
        "head": _fit_head(name, model, train, validation, recipe, seed, extract, make_callbacks)
    }
    if recipe.fine_tune.epochs:
        before = model.get_weights()
        unfreeze_last_block(name, model)
        tuning, passed = recipe.of(recipe.fine_tune), len(phases["head"])
        phases["fine_tune"] = fit(
            model,
            train,
            validation,
            tuning,
            seed,
            name,
            phase="fine_tune",
            first_epoch=passed,
            make_callbacks=make_callbacks,
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
    make_callbacks: CallbackFactory,
) -> History:
    learned, asked = extract(train.planes), extract(validation.planes)
    params = recipe.of(recipe.head)
    fitting = Fitting(name, "head", 0, params.epochs, asked, validation.planes, validation.targets, validation.classes)
    vectors = _dataset(learned, smoothed(train.targets, params.label_smoothing))
    devices = replicas()
    size, asked_size = even_batch(params.batch_size, devices), dealt_batch(len(asked), params.batch_size, devices)
    batches = vectors.shuffle(len(learned), seed=seed).batch(size, drop_remainder=devices > 1)
    checked = _dataset(asked, validation.targets).batch(asked_size)
    return optimise(head_of(model), batches, checked, params, fitting, make_callbacks)


def head_of(model: keras.Model) -> keras.Model:
    """Return the layers after pooling as a model of their own, float32 (n, d) to logits; weights are shared."""
    features = keras.Input(model.output["features"].shape[1:])
    return keras.Model(features, model.get_layer("logits")(model.get_layer("dropout")(features)))


def _dataset(features: Features, targets: "np.typing.NDArray[np.float32]") -> "tf.data.Dataset":
    return tf.data.Dataset.from_tensor_slices((features, targets))
