"""Transfer learning in two phases: the head on features of the frozen backbone, then the backbone's last block with it.

After the guide of Keras, https://keras.io/guides/transfer_learning/: published weights are destroyed by the gradients
of an untrained head, so it learns alone first; and batch normalisation stays in inference mode throughout, as it was
published. Where the guide trains the head by epochs, here it is a logistic regression, fitted to its end.
"""

import hashlib
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from cxr.core.errors import DataError
from cxr.core.files import Track, sha256_of, untracked, whole_file
from cxr.core.image import Plane, pixels_digest
from cxr.core.params import RuntimeParams
from cxr.models import TransferParams, architecture, layers
from cxr.models.layers import SMALLEST_VARIANCE, keras, tf
from cxr.training.devices import environment
from cxr.training.loop import CallbackFactory, Examples, History, Phase, PhaseName, Targets, fit, smoothed

Features = NDArray[np.float32]
FeatureExtractor = Callable[[Plane], Features]

# Of every batch, the last one padded: another size may choose another kernel, which adds in another order.
FEATURE_BATCH = 32
# Of the mean variance of a map's features, added to each: one that hardly varies in training would else decide
# elsewhere.
SHRINKAGE = 0.05
HEAD_LAYERS = ("standardise", "logits")  # what does not come with a file of weights


@dataclass(frozen=True, slots=True)
class FeatureOrigin:
    """All that features follow from but the planes; two that are equal give the same bytes.

    Attributes:
        network: Its name.
        side: Of the network's own input, pixels.
        depths: How many of the backbone's maps are pooled.
        weights: SHA-256 of the backbone's arrays, see `weights_sha256`.
        code: SHA-256 of each file of code, which is compared as text, as DVC does.
        runtime: The section `runtime`: its arithmetic is part of the result.
        environment: Versions and class of machine.
    """

    network: str
    side: int
    depths: int
    weights: str
    code: tuple[str, ...]
    runtime: str
    environment: dict[str, str]


def origin_of(name: str, recipe: TransferParams, weights: str, runtime: RuntimeParams) -> FeatureOrigin:
    """Return what the features of the network `name` follow from, with arrays of the SHA-256 `weights`.

    The preprocessing is part of the code and of Keras's version.
    """
    folder = Path(layers.__file__).parent
    code = (Path(__file__), *(folder / f"{module}.py" for module in (name, "keras_applications", "layers")))
    shas = tuple(sha256_of(path) for path in code)
    return FeatureOrigin(name, recipe.side, recipe.head.depths, weights, shas, runtime.model_dump_json(), environment())


def weights_sha256(model: keras.Model) -> str:
    """Return the SHA-256 of the arrays that came from a file: the same whatever kind of file that was.

    They are float32, little-endian, in the order of the layers, a kernel before its bias; those of the head are left
    out.
    """
    digest = hashlib.sha256()
    for layer in model.layers:
        if layer.name not in HEAD_LAYERS:
            for weight in layer.weights:
                digest.update(np.asarray(weight.numpy(), "<f4").tobytes())
    return digest.hexdigest()


def feature_extractor(
    model: keras.Model, origin: FeatureOrigin, cache: Path | None, track: Track = untracked
) -> FeatureExtractor:
    """Return the function from planes to their features, which looks each plane up in the cache first.

    Args:
        model: Its backbone still with the weights it came with.
        origin: What the features follow from; with the plane the key of the cache.
        cache: Folder of the cache; a file in it that is damaged is made anew. None keeps nothing.
        track: Follows the computing.
    """
    infer = inference_graph(model)

    def compute(planes: Plane) -> Features:
        sys.stderr.write(f"{origin.network}: computing the features of {len(planes)} images, once for all epochs\n")
        return pooled_features(infer, planes, track)

    if cache is None:
        return compute
    name = hashlib.sha256(repr(origin).encode()).hexdigest()
    return partial(_looked_up, cache / "features" / f"{name}.npz", compute)


def _looked_up(file: Path, compute: FeatureExtractor, planes: Plane) -> Features:
    """Return the features of `planes`; those that `file` lacks are computed and added to it.

    Plane by plane, so that another split of the same images, as of a fold, computes none again.
    """
    known, digests = _kept(file), [pixels_digest(plane) for plane in planes]
    new = {digest: number for number, digest in enumerate(digests) if digest not in known}
    if new:
        known |= dict(zip(new, compute(planes[list(new.values())]), strict=True))
        with whole_file(file) as temporary, temporary.open("wb") as stream:
            np.savez(stream, digests=list(known), features=np.stack(list(known.values())))
    return np.stack([known[digest] for digest in digests])


def _kept(file: Path) -> dict[str, Features]:
    """Return the vectors in a file of the cache by their planes' digests; of one that is absent or damaged, none."""
    try:
        with np.load(file) as arrays:  # an archive with a checksum for each array
            return dict(zip(arrays["digests"].tolist(), arrays["features"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return {}


def inference_graph(model: keras.Model) -> "Callable[[Plane], tf.Tensor]":
    """Return what gives the features before they are standardised, without augmentation and in inference mode.

    Its graph is made at the first call, and once: for a deep backbone that takes as long as a hundred images.

    Args:
        model: From `cxr.models`, with weights from a file.

    Returns:
        A function from uint8 (FEATURE_BATCH, side, side, 1) to float32 (FEATURE_BATCH, d).
    """
    feature_map = keras.layers.GlobalAveragePooling2D()(model.get_layer("standardise").input)
    inner = keras.Model(model.inputs, feature_map)
    spec = tf.TensorSpec((FEATURE_BATCH, *model.input_shape[1:]), tf.uint8)
    infer: Callable[[Plane], tf.Tensor] = tf.function(
        lambda batch: tf.cast(inner(batch, training=False), tf.float32), input_signature=[spec]
    )
    return infer


def pooled_features(infer: "Callable[[Plane], tf.Tensor]", planes: Plane, track: Track = untracked) -> Features:
    """Return a network's features of any number of planes, before they are standardised.

    Args:
        infer: From `inference_graph`.
        planes: uint8 (n, side, side), at least one.
        track: Follows the batches.

    Returns:
        float32 (n, d), d being the channels of all maps that are pooled; a row depends on its own plane alone.
    """
    padding = -len(planes) % FEATURE_BATCH
    padded = np.pad(planes, ((0, padding), (0, 0), (0, 0)))[..., np.newaxis]
    batches = np.split(padded, math.ceil(len(planes) / FEATURE_BATCH))
    parts = [infer(batch).numpy() for batch in track(batches, f"features (batches of {FEATURE_BATCH})", len(batches))]
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
        recipe: `fine_tune` has its own epochs and rate.
        seed: Of shuffling and augmentation.
        extract: From planes to the features of the frozen backbone.
        make_callbacks: Asked for callbacks of the second phase.

    Returns:
        By phase, in order, as `fit`; the head is the first epoch, and others are numbered on.

    Raises:
        DataError: A class has no image in `train`.
    """
    head = _fit_head(name, model, train, validation, recipe, extract)
    if not recipe.fine_tune.epochs:
        return {"head": head}
    before = model.get_weights()
    unfreeze_last_block(name, model)
    phase = Phase(name, "fine_tune", first_epoch=len(head))
    fine_tune = fit(model, train, validation, recipe.tuning, seed, phase, make_callbacks)
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
    body, block = model.get_layer(name), architecture(name).last_block
    body.trainable = True
    for layer in body.layers:
        layer.trainable = layer.name.startswith(block) and not isinstance(layer, keras.layers.BatchNormalization)


def _fit_head(
    name: str,
    model: keras.Model,
    train: Examples,
    validation: Examples,
    recipe: TransferParams,
    extract: FeatureExtractor,
) -> History:
    raw = extract(train.planes)
    mean, variance = raw.mean(axis=0), shrunk(raw.var(axis=0), _channels(model))
    model.get_layer("standardise").set_weights([mean, variance])
    scale = 1 / np.sqrt(variance + SMALLEST_VARIANCE)
    learned, checked = (raw - mean) * scale, (extract(validation.planes) - mean) * scale
    targets = smoothed(train.targets, recipe.label_smoothing)
    # With one thread no digit depends on the number of cores, or on what else they do.
    with threadpool_limits(limits=1):
        head = _regression(learned, targets, train.classes, recipe.head.strength)
        loss, accuracy = _judged(learned, targets, head)
        val_loss, val_accuracy = _judged(checked, validation.targets, head)
    model.get_layer("logits").set_weights(head)
    sys.stderr.write(f"{name} head  loss {loss:.4f}  val_loss {val_loss:.4f}  val_accuracy {val_accuracy:.3f}\n")
    return [{"epoch": 1, "loss": loss, "accuracy": accuracy, "val_loss": val_loss, "val_accuracy": val_accuracy}]


def _regression(features: Features, targets: Targets, classes: Sequence[str], strength: float) -> list[Features]:
    """Return kernel (d, classes) and bias; an image with shares of several classes is a row of each."""
    rows, columns = np.nonzero(targets)
    labels = [classes[column] for column in columns.tolist()]
    head = logistic_regression(features[rows], labels, classes, strength, targets[rows, columns])
    return [np.asarray(part, np.float32) for part in head]


def _judged(features: Features, targets: Targets, head: Sequence[Features]) -> tuple[float, float]:
    """Return cross-entropy and accuracy, rounded as those of an epoch."""
    kernel, bias = head
    logits = np.asarray(features @ kernel + bias, np.float64)
    loss = -(targets * log_softmax(logits, axis=1)).sum(axis=1).mean()
    accuracy = (logits.argmax(axis=1) == targets.argmax(axis=1)).mean()
    return round(float(loss), 6), round(float(accuracy), 6)


def shrunk(variance: Features, channels: Sequence[int]) -> Features:
    """Add to each variance a share, SHRINKAGE, of the mean over its own map.

    Of all maps together it would be the finest map's, whose variance in VGG16 is a thousand times the coarsest's: that
    one would count nothing, and its block would have nothing to learn for in the second phase.

    Args:
        variance: float32 (d,), of the features of all maps, one map after the other.
        channels: How many are of each map.
    """
    maps = np.split(variance, np.cumsum(channels)[:-1])
    return np.concatenate([one + SHRINKAGE * one.mean() for one in maps])


def _channels(model: keras.Model) -> list[int]:
    """Return how many channels each of the maps has that are pooled, in their order."""
    joined = [layer.input for layer in model.layers if layer.name == "depths"]
    maps = joined[0] if joined else [model.get_layer("standardise").input]
    return [one.shape[-1] for one in maps]


ITERATIONS = 500


def logistic_regression(
    features: NDArray[np.floating],
    labels: Sequence[str],
    classes: Sequence[str],
    strength: float,
    weights: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit logits that are linear in the features, with a penalty on squared weights.

    Args:
        features: (n, d), columns of about variance one: the penalty treats all alike.
        labels: Class of each row.
        classes: In the order of the logits.
        strength: Inverse of the penalty, as scikit-learn's C.
        weights: (n,), of each row in the loss.

    Returns:
        Kernel (d, classes) and bias (classes,), not yet rounded to float32.

    Raises:
        DataError: A class has no row.
    """
    lacking = sorted(set(classes) - set(labels))
    if lacking:
        raise DataError(
            f"the class {lacking[0]} has no film that the last layer could learn from; run: dvc repro split"
        )
    numbers = {label: number for number, label in enumerate(classes)}
    model = LogisticRegression(C=strength, max_iter=ITERATIONS)
    model.fit(features, [numbers[label] for label in labels], sample_weight=weights)
    kernel, bias = model.coef_, model.intercept_
    if len(kernel) == 1:  # of two classes scikit-learn keeps the difference
        kernel, bias = (np.concatenate([-each, each]) / 2 for each in (kernel, bias))
    return kernel.T, bias
