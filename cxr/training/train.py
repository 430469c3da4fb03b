"""Train one network from start to finish, export it, and write what the next stages need of it.

The export is proven to say what Keras says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.errors import ModelError, ParamsError
from cxr.core.files import (
    JsonObject,
    Track,
    copy_file,
    guarded,
    make_folder,
    move,
    remove,
    require_room,
    scratch_folder,
    untracked,
    whole_file,
    write_json,
)
from cxr.core.image import Plane, PlaneRule
from cxr.core.manifest import data_summary
from cxr.core.params import CommonParams
from cxr.core.records import as_json
from cxr.inference.network import (
    DESCRIPTION_FILE,
    NETWORK_FILE,
    NETWORK_WEIGHTS_FILE,
    Network,
    Stored,
    fingerprint,
    openvino_module,
    softmax,
)
from cxr.models import TrainParams, TransferParams, architecture, weights_file
from cxr.models.layers import keras, tf
from cxr.training.devices import environment, in_float32, make_reproducible, precision
from cxr.training.loop import (
    CallbackFactory,
    History,
    Phase,
    PhaseName,
    examples,
    fit,
    no_callbacks,
    weighted,
    write_history,
)
from cxr.training.transfer import feature_extractor, origin_of, transfer, weights_sha256

AGREEMENT = 1e-5  # largest difference of a probability
INNER_AGREEMENT = 1e-4  # of logits, features and feature map, as a share of the largest magnitude where above one


def export_network(model: keras.Model, folder: Path) -> None:
    """Write `model` as OpenVINO IR in float32, with the outputs logits, features and feature_map.

    The bytes depend on architecture, weights and the versions of TensorFlow and OpenVINO alone.
    """
    openvino = openvino_module()
    from openvino.tools.ovc import convert_model

    converted = convert_model(_function(model))
    for name in (NETWORK_FILE, NETWORK_WEIGHTS_FILE):
        remove(folder / name)
    require_room(folder / NETWORK_WEIGHTS_FILE, _room_for(model))
    with whole_file(folder / NETWORK_FILE) as temporary:
        beside = temporary.with_suffix(".xml")
        openvino.save_model(converted, str(beside), compress_to_fp16=False)
        move(beside.with_suffix(".bin"), folder / NETWORK_WEIGHTS_FILE)
        move(beside, temporary)


def store_half(folder: Path) -> None:
    """Store the weights of the exported network in `folder` as float16: half the bytes; float32 is computed with."""
    openvino = openvino_module()
    with scratch_folder() as temporary:
        graph = openvino.Core().read_model(str(folder / NETWORK_FILE))
        openvino.save_model(graph, str(temporary / NETWORK_FILE), compress_to_fp16=True)
        for name in (NETWORK_WEIGHTS_FILE, NETWORK_FILE):
            with whole_file(folder / name) as whole:
                copy_file(temporary / name, whole)


def _room_for(model: keras.Model) -> int:
    """Return more bytes than the weights take in a file, whatever its format."""
    return 4 * int(model.count_params()) + 4096 * len(model.weights) + 65536


def assert_agreement(model: keras.Model, network: Network, planes: Plane) -> float:
    """Compare the exported network with Keras on the same planes.

    Probabilities must agree to AGREEMENT. The three outputs behind them are unbounded sums in float32, whose order
    differs between the two: they must agree to INNER_AGREEMENT.

    Args:
        model: The trained model.
        network: Its export.
        planes: uint8 (n, side, side).

    Returns:
        The largest difference of a probability.

    Raises:
        ModelError: A difference is above what is allowed.
    """
    expected = {name: output.numpy() for name, output in model(planes[..., np.newaxis], training=False).items()}
    found = network.predict(planes)
    worst = float(np.abs(softmax(expected["logits"]) - softmax(found.logits)).max())
    inner = max(_difference(values, getattr(found, name)) for name, values in expected.items())
    if not (worst <= AGREEMENT and inner <= INNER_AGREEMENT):
        raise ModelError(
            f"the exported network differs from Keras by {worst:.2e} in a probability (at most {AGREEMENT:.0e}) "
            f"and by {inner:.2e} in an output behind it (at most {INNER_AGREEMENT:.0e})"
        )
    return worst


def gflop(model: keras.Model) -> float:
    """Return the floating-point operations of one image in units of 1e9, a multiply-add counted as two.

    Counted by TensorFlow's own profiler on the inference graph.
    """
    # The batch must be a number: operations of unknown shape count as none. The weights need not be in the graph: their
    # shapes are, and to copy a hundred megabytes into it takes longer than everything else.
    graph = _function(model, batch=1).get_concrete_function().graph
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    total = profiler.profile(graph=graph, cmd="op", options=options).total_float_ops
    return float(round(total / 1e9, 4))


def _difference(expected: "np.typing.NDArray[np.float32]", found: "np.typing.NDArray[np.float32]") -> float:
    return float(np.abs(expected - found).max() / max(1.0, float(np.abs(expected).max())))


def _function(model: keras.Model, batch: int | None = None) -> "tf.types.experimental.PolymorphicFunction":
    def screen(planes: tf.Tensor) -> dict[str, tf.Tensor]:
        return {name: tf.identity(output, name) for name, output in model(planes, training=False).items()}

    planes = tf.TensorSpec((batch, *model.input_shape[1:]), tf.uint8, name="planes")
    return tf.function(screen, input_signature=[planes])


WEIGHTS_FILE = "model.weights.h5"
AGREEMENT_PLANES = 16


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained network.

    Attributes:
        model: With the weights of the best epoch.
        history: One dict an epoch.
        description: What model.json says, but for the exported network.
        probe: uint8 (n, side, side), a few validation images, to compare the export on.
    """

    model: keras.Model
    history: History
    description: JsonObject
    probe: Plane


def train_network(
    name: str,
    table: pd.DataFrame,
    images: Plane,
    shared: CommonParams,
    recipe: TrainParams,
    weights: Path,
    cache: Path | None = None,
    make_callbacks: CallbackFactory = no_callbacks,
    track: Track = untracked,
) -> Trained:
    """Train the network `name` on the train split; the validation split decides when to stop.

    Args:
        name: Of its module in `cxr.models`.
        table: A split table.
        images: uint8 (n, side, side).
        shared: Seed, classes, image side and runtime.
        recipe: The section `train_<name>`.
        weights: Folder where files of weights are looked for.
        cache: Folder where features of a frozen backbone are kept; None keeps none. No result depends on it.
        make_callbacks: Asked for callbacks of Keras before each phase; no result depends on them.
        track: Follows the computing of features.

    Raises:
        DataError, WeightsError, ParamsError: What is needed is absent or wrong.
    """
    if recipe.side > images.shape[1]:
        raise ParamsError(
            f"params.yaml: train_{name}.side is {recipe.side}, but the planes have {images.shape[1]} pixels; "
            f"enlarging adds nothing: lower it, or raise image.side"
        )
    network = architecture(name)
    make_reproducible(shared.runtime, shared.seed)
    train, validation = (examples(table, images, split, shared.classes) for split in ("train", "validation"))
    train = weighted(train, table, recipe.evenness)
    build = partial(network.build, images.shape[1], len(shared.classes), recipe)
    file = weights_file(weights, name, recipe.initialisation, network.published)
    if file:
        build = partial(build, file)
    with precision(shared.runtime):
        model = build()
        start = weights_sha256(model) if file else ""
        if file and isinstance(recipe, TransferParams):
            extract = feature_extractor(model, origin_of(name, recipe, start, shared.runtime), cache, track)
            phases = transfer(name, model, train, validation, recipe, shared.seed, extract, make_callbacks)
        else:
            phases = {"whole": fit(model, train, validation, recipe, shared.seed, Phase(name), make_callbacks)}
    kept = in_float32(model, build)
    description = describe(name, kept, phases, table, shared, recipe, start)
    return Trained(kept, epochs_of(phases), description, validation.planes[:AGREEMENT_PLANES])


def epochs_of(phases: Mapping[PhaseName, History]) -> History:
    """Return the epochs of all phases, in order."""
    return [epoch for phase in phases.values() for epoch in phase]


def describe(
    name: str,
    model: keras.Model,
    phases: Mapping[PhaseName, History],
    table: pd.DataFrame,
    shared: CommonParams,
    recipe: TrainParams,
    start: str,
) -> JsonObject:
    """Return name, classes in output order, cost, params, data and environment of a training.

    `start` is the SHA-256 of the arrays that came from a file, empty where the weights began at random.
    """
    history = epochs_of(phases)
    best = min(history, key=lambda epoch: epoch["val_loss"])
    return {
        "name": name,
        "classes": list(shared.classes),
        "image_side": model.input_shape[1],
        "side": recipe.side,
        "initialisation": recipe.initialisation,
        "initial_weights_sha256": start or None,
        "parameters": model.count_params(),
        "gflop_per_image": gflop(model),
        "training": {
            "epochs": len(history),
            "best_epoch": best["epoch"],
            "validation_loss": best["val_loss"],
            "phases": {phase: len(epochs) for phase, epochs in phases.items()},
        },
        "params": {
            "seed": shared.seed,
            "runtime": shared.runtime.model_dump(mode="json"),
            f"train_{name}": recipe.model_dump(mode="json"),
        },
        "data": data_summary(table),
        "environment": environment(),
    }


def write_trained(folder: Path, trained: Trained, plane: PlaneRule, stored: Stored = "float32") -> None:
    """Write weights, history, exported network and description.

    Args:
        folder: Of the network.
        trained: The network.
        plane: The rule by which the planes were made that it learned from.
        stored: How the exported network stores its weights.

    Raises:
        ModelError: The export does not agree with Keras.
    """
    make_folder(folder)
    require_room(folder / WEIGHTS_FILE, _room_for(trained.model))
    # Without the optimizer: its state triples the file, and with it the bytes would depend on how training went.
    with guarded(folder / WEIGHTS_FILE):
        trained.model.save_weights(folder / WEIGHTS_FILE)
    write_history(folder, trained.history)
    export_network(trained.model, folder)
    assert_agreement(trained.model, Network(folder / NETWORK_FILE), trained.probe)
    if stored == "float16":
        store_half(folder)
    stated = {"plane": as_json(plane), "network": {"sha256": fingerprint(folder)}}
    write_json(folder / DESCRIPTION_FILE, trained.description | stated)
