"""Backbones of keras.applications, with weights from a file or at random, as part of one of our networks."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import ParamsError, WeightsError
from cxr.models import TransferParams
from cxr.models.layers import BATCH_MOMENTUM, keras, network, plane_input, standardised, to_rgb

# Where keras.applications has its weights; ours are those without the classifier of the thousand classes ("notop").
STORE = "https://storage.googleapis.com/tensorflow/keras-applications"

Arrays = list[NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Backbone:
    """A backbone of keras.applications.

    Attributes:
        build: Its constructor.
        preprocess: Its own preprocessing, on float32 RGB 0..255; only trained weights need it.
        maps: Names of the layers that end its five scales, from the finest map to the coarsest.
    """

    build: Callable[..., keras.Model]
    preprocess: Callable[[keras.KerasTensor], keras.KerasTensor]
    maps: tuple[str, ...]


def with_backbone(
    backbone: Backbone, plane_side: int, classes: int, recipe: TransferParams, weights: Path | None
) -> keras.Model:
    """Put a backbone between the plane and the head.

    Args:
        backbone: Which.
        plane_side: Side of the plane, pixels.
        classes: Number of logits.
        recipe: Side of the backbone's input, how many of its maps are pooled (`head.depths`, with weights from a
            file), and the share of pooled features dropped while training.
        weights: File of its weights, or None for random ones. Loaded weights are frozen, and with that batch
            normalisation is in inference mode; fine-tuning lets some of them learn.

    Raises:
        WeightsError: As `load_weights`.
        ParamsError: Maps of that side cannot be brought to one grid.
    """
    planes, pixels = plane_input(plane_side, recipe.side)
    body = backbone.build(include_top=False, weights=None, input_shape=(recipe.side, recipe.side, 3))
    if weights:
        load_weights(body, weights)
        maps = [body.get_layer(name).output for name in backbone.maps[-recipe.head.depths :]]
        body = keras.Model(body.inputs, maps, name=body.name)
        body.trainable = False
        joined = _on_one_grid(body(backbone.preprocess(to_rgb(pixels))), body.name, recipe)
        return network(planes, standardised(joined), classes, recipe.dropout)
    initialise(body)
    # Unit scale: He's initialisation keeps it, and published means are for published weights.
    centred = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="centre")(to_rgb(pixels))
    return network(planes, body(centred), classes, recipe.dropout)


def _on_one_grid(maps: list[keras.KerasTensor], name: str, recipe: TransferParams) -> keras.KerasTensor:
    """Take the maximum of each map in every cell of the coarsest, and join them: one map has the features of all."""
    coarsest = maps[-1].shape[1]
    if any(one.shape[1] % coarsest for one in maps):
        sides = ", ".join(str(one.shape[1]) for one in maps)
        raise ParamsError(
            f"params.yaml: train_{name}.side {recipe.side} gives maps of {sides} pixels, of which {coarsest} does not "
            f"divide all; take a multiple of 32, or set train_{name}.head.depths to 1"
        )
    pooled = [keras.layers.MaxPooling2D(one.shape[1] // coarsest)(one) for one in maps[:-1]]
    return keras.layers.Concatenate(name="depths")([*pooled, maps[-1]]) if pooled else maps[-1]


def initialise(body: keras.Model) -> None:
    """Draw convolution kernels by He et al. 2015 and let batch normalisation follow short epochs.

    keras.applications draws by Glorot, which halves the signal's variance at every rectifier: sixteen layers deep
    nothing arrives.
    """
    initialiser = keras.initializers.HeNormal(seed=keras.random.SeedGenerator())
    for layer in body.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(initialiser(layer.kernel.shape))
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = BATCH_MOMENTUM


def load_weights(body: keras.Model, path: Path) -> None:
    """Set the weights of `body` by topology: the layers that have any, in order, whatever they are called in the file.

    Args:
        body: Changed in place; not at all where the file does not fit.
        path: As Keras writes weights, `.weights.h5` or the older `.h5`, without the classifier.

    Raises:
        WeightsError: It cannot be read; or a layer differs, which is named with the shapes of both.
    """
    layers = [layer for layer in body.layers if layer.weights]
    try:
        with h5py.File(path) as file:
            found = list(_layers_in(file, body))
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read as weights in HDF5, as Keras writes them ({error})") from error
    for layer, (name, arrays) in zip(layers, found, strict=False):
        _require_same(path, body.name, layer, name, arrays)
    if len(found) != len(layers):
        more = f"; after those of {body.name} comes '{found[len(layers)][0]}'" if len(found) > len(layers) else ""
        raise WeightsError(
            f"{path} does not fit {body.name}: it has {len(found)} layers with weights, expected {len(layers)}{more}. "
            "Expected are those without the classifier (include_top=False)"
        )
    for layer, (_, arrays) in zip(layers, found, strict=True):
        layer.set_weights(arrays)


def _require_same(path: Path, network: str, layer: keras.Layer, name: str, arrays: Arrays) -> None:
    expected, shapes = ([tuple(array.shape) for array in some] for some in (layer.weights, arrays))
    if shapes != expected:
        raise WeightsError(
            f"{path} does not fit {network}: its layer '{name}' has the shapes {_said(shapes)}, where {layer.name} has "
            f"{_said(expected)}"
        )
    if not all(np.isfinite(array).all() for array in arrays):
        raise WeightsError(f"{path} has numbers in its layer '{name}' that are not finite; it is damaged")


def _said(shapes: list[tuple[int, ...]]) -> str:
    return " and ".join(" x ".join(map(str, shape)) for shape in shapes) or "of nothing"


def _layers_in(file: h5py.File, body: keras.Model) -> Iterator[tuple[str, Arrays]]:
    """Yield name and arrays of each layer with weights; the older layout lists its layers, the newer numbers them."""
    group = file.get("model_weights", file)
    if "layer_names" not in group.attrs:
        yield from _numbered_layers(file["layers"], body)
        return
    for name in group.attrs["layer_names"]:
        weights = [np.asarray(group[name][weight], np.float32) for weight in group[name].attrs["weight_names"]]
        if weights:
            yield _text(name), weights


def _numbered_layers(group: h5py.Group, body: keras.Model) -> Iterator[tuple[str, Arrays]]:
    """Yield what lies under the names by class and number that Keras 3 gives the layers of `body`, then the rest."""
    counts = Counter[str]()
    keys = []
    for layer in body.layers:
        kind = re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)).lower()
        keys.append(f"{kind}_{counts[kind]}" if counts[kind] else kind)
        counts[kind] += 1
    with_weights = [key for key, layer in zip(keys, body.layers, strict=True) if layer.weights]
    for key in (*with_weights, *(key for key in group if key not in keys)):
        arrays = group[key]["vars"] if key in group and "vars" in group[key] else {}
        found = [np.asarray(arrays[str(number)], np.float32) for number in range(len(arrays))]
        if found or key in with_weights:
            yield key, found


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
