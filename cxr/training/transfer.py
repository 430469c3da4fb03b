"""Transfer learning in two phases: the head on features of the frozen backbone, then the backbone's last block with it.

After the guide of Keras, https://keras.io/guides/transfer_learning/: published weights are destroyed by the gradients
of an untrained head, so it learns alone first; and batch normalisation stays in inference mode throughout, as it was
published.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
from numpy.typing import NDArray

from cxr import models
from cxr.core.files import sha256_of
from cxr.core.image import Plane
from cxr.core.params import RuntimeParams
from cxr.models import TransferParams
from cxr.models.backend import keras, tf
from cxr.training.devices import environment
from cxr.training.loop import CallbackFactory, Examples, History, Phase, PhaseName, fit, optimise, smoothed

Features = NDArray[np.float32]
FeatureExtractor = Callable[[Plane], Features]

# Of every batch, the last one padded: another size may choose another kernel, which adds in another order.
FEATURE_BATCH = 32


@dataclass(frozen=True, slots=True)
class FeatureOrigin:
    """All that features follow from but the planes; two that are equal give the same bytes.

    Attributes:
        network: Its name.
        side: Of the network's own input, pixels.
        weights: SHA-256 of the file of published weights.
        code: SHA-256 of each file of code, which is compared as text, as DVC does.
        runtime: The section `runtime`: its arithmetic is part of the result.
        environment: Versions and class of machine.
    """

    network: str
    side: int
    weights: str
    code: tuple[str, ...]
    runtime: str
    environment: dict[str, str]


def origin_of(name: str, side: int, weights: Path, runtime: RuntimeParams) -> FeatureOrigin:
    """Return what the features of the network `name` follow from, with the published weights in the file `weights`.

    The preprocessing is part of the code and of Keras's version.
    """
    folder = Path(models.__file__).parent
    code = (Path(__file__), *(folder / f"{module}.py" for module in (name, "keras_applications", "layers")))
    shas = tuple(sha256_of(path) for path in code)
    return FeatureOrigin(name, side, sha256_of(weights), shas, runtime.model_dump_json(), environment())


def feature_extractor(model: keras.Model, origin: FeatureOrigin, cache: Path | None) -> FeatureExtractor:
    """Return the function from planes to the network's output `features`, which looks into the cache first.

    Args:
        model: Its backbone still with the published weights.
        origin: What the features follow from; with the planes the key of the cache.
        cache: Folder of the cache; a file in it that is damaged is computed again. None keeps nothing.
    """
    # Compressed for the checksum that comes with it: an altered file is noticed.
    memory = joblib.Memory(cache, verbose=0, compress=1)
    compute = memory.cache(_features, ignore=["infer"])
    infer = inference_graph(model)
    return lambda planes: compute(origin, planes, infer)


def _features(origin: FeatureOrigin, planes: Plane, infer: "Callable[[Plane], tf.Tensor]") -> Features:
    sys.stderr.write(f"{origin.network}: computing the features of {len(planes)} images, once for all epochs\n")
    return pooled_features(infer, planes)


def inference_graph(model: keras.Model) -> "Callable[[Plane], tf.Tensor]":
    """Return what gives a network's output `features`, without augmentation and in inference mode.

    Its graph is made at the first call, and once: for a deep backbone that takes as long as a hundred images.

    Args:
        model: From `cxr.models`.

    Returns:
        A function from uint8 (FEATURE_BATCH, side, side, 1) to float32 (FEATURE_BATCH, d).
    """
    inner = keras.Model(model.inputs, model.output["features"])
    spec = tf.TensorSpec((FEATURE_BATCH, *model.input_shape[1:]), tf.uint8)
    infer: Callable[[Plane], tf.Tensor] = tf.function(
        lambda batch: tf.cast(inner(batch, training=False), tf.float32), input_signature=[spec]
    )
    return infer


def pooled_features(infer: "Callable[[Plane], tf.Tensor]", planes: Plane) -> Features:
    """Return a network's features of any number of planes.

    Args:
        infer: From `inference_graph`.
        planes: uint8 (n, side, side), at least one.

    Returns:
        float32 (n, d), d being 512 for VGG16 and 2048 for ResNet50; a row depends on its own plane alone.
    """
    padding = -len(planes) % FEATURE_BATCH
    padded = np.pad(planes, ((0, padding), (0, 0), (0, 0)))[..., np.newaxis]
    parts = [infer(batch).numpy() for batch in np.split(padded, math.ceil(len(planes) / FEATURE_BATCH))]
    return np.concatenate(parts)[: len(planes)]


def transfer(
    name: str,
    model: keras.Model,
    train: Examples,
    validation: Examples,
    recipe: TransferParams,
    seed: int,
    extract: FeatureExtractor,
    make_callbacks: CallbackFactory,
) -> dict[PhaseName, History]:
    """Train `model` in place; afterwards it has the weights of the best epoch of both phases, by validation loss.

    Args:
        name: Of the network, which has a `last_block`.
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
    head = _fit_head(name, model, train, validation, recipe.of(recipe.head), seed, extract, make_callbacks)
    if not recipe.fine_tune.epochs:
        return {"head": head}
    before = model.get_weights()
    unfreeze_last_block(name, model)
    phase = Phase(name, "fine_tune", first_epoch=len(head))
    fine_tune = fit(model, train, validation, recipe.of(recipe.fine_tune), seed, phase, make_callbacks)
    if not is_better(fine_tune, head):
        model.set_weights(before)
    return {"head": head, "fine_tune": fine_tune}


def is_better(one: History, other: History) -> bool:
    """Tell whether `one` reached a lower validation loss; one that is no number is not better."""
    best, best_other = (min(epoch["val_loss"] for epoch in history) for history in (one, other))
    return best < best_other


def unfreeze_last_block(name: str, model: keras.Model) -> None:
    """Let the convolutions of the backbone's last block learn, as its module names it; all else stays frozen.

    Only that keeps the statistics of batch normalisation: to call the backbone with `training=False`, as the guide
    does, is not enough in Keras 3, whose `fit` overrides it for every layer of a functional model.
    """
    body, block = model.get_layer(name), models.architecture(name).last_block
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
    extract: FeatureExtractor,
    make_callbacks: CallbackFactory,
) -> History:
    learned, checked = extract(train.planes), extract(validation.planes)
    vectors = _dataset(learned, smoothed(train.targets, recipe.label_smoothing))
    return optimise(
        head_of(model),
        vectors.shuffle(len(learned), seed=seed).batch(recipe.batch_size),
        _dataset(checked, validation.targets).batch(recipe.batch_size),
        recipe,
        Phase(name, "head"),
        make_callbacks,
    )


def head_of(model: keras.Model) -> keras.Model:
    """Return the layers after pooling as a model of their own, float32 (n, d) to logits; weights are shared."""
    features = keras.Input(model.output["features"].shape[1:])
    return keras.Model(features, model.get_layer("logits")(model.get_layer("dropout")(features)))


def _dataset(features: Features, targets: "np.typing.NDArray[np.float32]") -> "tf.data.Dataset":
    return tf.data.Dataset.from_tensor_slices((features, targets))
