"""Pooled features of a frozen backbone: computed once, in batches of one size, and named by all they follow from."""

import hashlib
import json
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from cxr import models
from cxr.files import JsonObject, sha256_of
from cxr.models.tf import keras, tf
from cxr.params import RuntimeParams
from cxr.planes import Plane, pixels_digest
from cxr.training.feature_cache import Features, cached
from cxr.training.reproducible import environment

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
    code = [Path(__file__), *(folder / f"{module}.py" for module in (name, "backbones", "layers"))]
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
