"""Train the gate from start to finish: fit, thresholds from validation, and its folder."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from cxr.core.errors import ModelError, ParamsError
from cxr.core.files import JsonObject, make_folder, move, write_json
from cxr.core.image import Plane
from cxr.core.manifest import data_summary
from cxr.core.params import CommonParams
from cxr.inference.gate import (
    CLIPPED,
    GATE_FILE,
    GATE_FORM,
    GATE_NETWORK_FILE,
    GATE_WEIGHTS_FILE,
    GateNetwork,
    Limits,
    Sign,
    limits_form,
    network_fingerprint,
)
from cxr.inference.network import NETWORK_FILE, NETWORK_WEIGHTS_FILE
from cxr.models.gate import Whitening, build, with_scores
from cxr.models.layers import keras, tf
from cxr.training.devices import environment, make_reproducible
from cxr.training.gate_examples import Pictures, fixed_views, gather, view_batches
from cxr.training.loop import HISTORY_COLUMNS, EpochLines, History, examples, write_history
from cxr.training.params import GateParams, LimitParams
from cxr.training.train import AGREEMENT, export_network, gflop

WARMUP = 0.1  # share of all steps over which the learning rate rises
ANSWER_BATCH = 64
DIGITS = 6

Floats = NDArray[np.float64]


def fit_gate(train: Pictures, validation: Pictures, params: GateParams, seed: int) -> tuple[keras.Model, History]:
    """Train the network on views of its own side.

    Returns:
        The model of `cxr.models.gate.build` with the weights of the epoch of lowest validation loss; and one dict an
        epoch: `epoch` from 1, and HISTORY_COLUMNS; accuracy is the share of known signs that are right.
    """
    model = build(params.side, params.side, params.dropout)
    batches = view_batches(train, params, seed)
    views, targets = fixed_views(validation, params, seed, params.side)
    asked = tf.data.Dataset.from_tensor_slices((views, targets)).batch(ANSWER_BATCH)
    steps = -(-len(train.planes) // params.batch_size)
    trained = keras.Model(model.inputs, model.output["logits"])
    trained.compile(_optimizer(params, steps * params.epochs), loss=known_signs_loss, metrics=[_accuracy()])
    best = keras.callbacks.EarlyStopping("val_loss", patience=params.epochs, restore_best_weights=True)
    history = trained.fit(
        batches,
        validation_data=asked,
        epochs=params.epochs,
        shuffle=False,
        callbacks=[best, EpochLines("gate", params.epochs)],
        verbose=0,
    ).history
    epochs = zip(*(history[column] for column in HISTORY_COLUMNS), strict=True)
    return model, [
        {"epoch": number}
        | {column: round(float(value), DIGITS) for column, value in zip(HISTORY_COLUMNS, values, strict=True)}
        for number, values in enumerate(epochs, start=1)
    ]


def known_signs_loss(targets: "tf.Tensor", logits: "tf.Tensor") -> "tf.Tensor":
    """Return the cross entropy of each picture, summed over the signs whose target is not below zero."""
    known = tf.cast(targets >= 0, logits.dtype)
    each = tf.nn.sigmoid_cross_entropy_with_logits(tf.maximum(tf.cast(targets, logits.dtype), 0), logits)
    return tf.reduce_sum(each * known, axis=1)


def share_right(targets: "tf.Tensor", logits: "tf.Tensor") -> "tf.Tensor":
    """Return for each picture the share of its known signs that are seen rightly at a probability of one half."""
    known = tf.cast(targets >= 0, logits.dtype)
    right = tf.cast((logits > 0) == (targets > 0.5), logits.dtype)
    return tf.reduce_sum(right * known, axis=1) / tf.reduce_sum(known, axis=1)


def with_distances(model: keras.Model, train: Plane, validation: Plane, params: GateParams) -> keras.Model:
    """Return the model from planes to scores; both distances are one at the `unusual` quantile of validation.

    Args:
        model: Fitted, on planes of its own side.
        train: uint8 (n, plane_side, plane_side), upright radiographs, of which mean and covariance are taken.
        validation: The same, not trained on, by which the distances are scaled.
        params: The recipe.
    """
    whole = build(train.shape[1], params.side, params.dropout)
    whole.set_weights(model.get_weights())
    known, asked = (
        whole.predict(planes[..., np.newaxis], batch_size=ANSWER_BATCH, verbose=0) for planes in (train, validation)
    )
    whitenings = (
        scaled(whitening(known[name], params.shrinkage), asked[name], 1 - params.unusual)
        for name in ("shallow", "deep")
    )
    return with_scores(whole, *whitenings)


def whitening(features: NDArray[np.float32], shrinkage: float) -> Whitening:
    """Return the map to mean zero and covariance one.

    Args:
        features: (n, d), of any n: a share `shrinkage` of each feature's own variance is added to the covariance.
        shrinkage: Above 0, at most 1: features count as independent.
    """
    wide = features.astype(np.float64)
    mean, deviation = wide.mean(axis=0), wide.std(axis=0) + 1e-3
    standard = (wide - mean) / deviation
    with threadpool_limits(limits=1):  # the order of a sum must not depend on the number of cores
        covariance = (1 - shrinkage) * (standard.T @ standard) / len(standard) + shrinkage * np.eye(len(mean))
        values, vectors = np.linalg.eigh(covariance)
        matrix = (vectors / np.sqrt(values)) @ vectors.T / deviation[:, None]
    return Whitening(matrix, -mean @ matrix)


def scaled(whitening: Whitening, features: NDArray[np.float32], share: float) -> Whitening:
    """Return the map after which `share` of the features, (n, d), have a length of at most one."""
    lengths = np.linalg.norm(features @ whitening.matrix + whitening.offset, axis=1)
    far = float(np.quantile(lengths, share))
    return Whitening(whitening.matrix / far, whitening.offset / far)


def _accuracy() -> keras.metrics.Metric:
    return keras.metrics.MeanMetricWrapper(share_right, name="accuracy")


def _optimizer(params: GateParams, steps: int) -> keras.optimizers.Optimizer:
    warmup = round(steps * WARMUP)
    rate = keras.optimizers.schedules.CosineDecay(
        params.learning_rate / 100, max(steps - warmup, 1), warmup_target=params.learning_rate, warmup_steps=warmup
    )
    return keras.optimizers.AdamW(rate, weight_decay=params.weight_decay)


Scores = NDArray[np.float64]
SCALE = 10.0**DIGITS


def thresholds_of(scores: Scores, params: GateParams) -> dict[Sign, float]:
    """Return for each sign the lowest threshold that so many radiographs stay below as `params` asks for.

    Args:
        scores: (n, len(Sign)) of upright radiographs of validation.
        params: Its shares; a probability's threshold is at least `params.least`, that to reject `params.rejects`.
    """
    allowed = dict.fromkeys(Sign, params.flagged)
    allowed |= {Sign.NOT_A_RADIOGRAPH: 1 - params.accept, Sign.OUT_OF_DISTRIBUTION: params.unusual}
    lowest = dict.fromkeys(Sign, params.least) | {Sign.OUT_OF_DISTRIBUTION: 0.0}
    lowest[Sign.NOT_A_RADIOGRAPH] = params.rejects
    return {
        sign: max(lowest[sign], lowest_threshold(column, allowed[sign]))
        for sign, column in zip(Sign, scores.T, strict=True)
    }


def lowest_threshold(scores: Scores, share: float) -> float:
    """Return a number of six decimals that at most `share` of the scores reach, and the next score below it does not.

    Args:
        scores: (n,), n at least 1.
        share: 0 to below 1; 0.003 of 196 scores are none of them.
    """
    # Not the bare product: 0.07 * 100 is more than 7.
    reached = math.floor(share * len(scores) + 1e-9)
    highest_below = np.sort(scores)[len(scores) - 1 - reached]
    above = math.floor(float(highest_below) * SCALE) + 1
    return above / SCALE


def limits_of(planes: Plane, params: LimitParams) -> Limits:
    """Return the limits of pictures, those of exposure from upright radiographs, uint8 (n, side, side)."""
    means = planes.mean(axis=(1, 2)) / 255
    white = (planes >= CLIPPED).mean(axis=(1, 2))
    share, margin = params.exposure_share, params.exposure_margin
    return Limits(
        min_side=params.min_side,
        max_aspect=params.max_aspect,
        max_colour=params.max_colour,
        min_spread=params.min_spread,
        dark=round(max(0.0, float(np.quantile(means, share)) - margin), DIGITS),
        bright=round(min(1.0, float(np.quantile(means, 1 - share)) + margin), DIGITS),
        max_clipped=round(min(1.0, float(np.quantile(white, 1 - share)) + margin), DIGITS),
    )


def shares_seen(
    upright: Scores, views: Scores, targets: NDArray[np.float32], thresholds: dict[Sign, float]
) -> JsonObject:
    """Return what gate.json says of validation.

    Args:
        upright: (n, len(Sign)), of its radiographs as they are.
        views: (m, len(Sign)), of turned, inverted and cropped ones and of drawn pictures.
        targets: (m, signs), what was done to each, see `draw_views`.
        thresholds: In force.

    Returns:
        `images`, and by sign `seen`, the share of radiographs as they are, and `found`, of those that have it.
    """
    found = {
        sign.value: round(float((views[targets[:, column] > 0.5, column] >= thresholds[sign]).mean()), DIGITS)
        for column, sign in enumerate(list(Sign)[: targets.shape[1]])
        if (targets[:, column] > 0.5).any()
    }
    seen = {
        sign.value: round(float((upright[:, column] >= thresholds[sign]).mean()), DIGITS)
        for column, sign in enumerate(Sign)
    }
    return {"images": len(upright), "seen": seen, "found": found}


AGREEMENT_PLANES = 16
DISTANCE_AGREEMENT = 1e-4  # of a distance, as a share of it where above one


@dataclass(frozen=True, slots=True)
class TrainedGate:
    """A trained gate.

    Attributes:
        model: From planes to scores.
        history: One dict an epoch.
        thresholds: A sign is seen where its score is at least this.
        limits: Of pictures, before the network.
        description: What gate.json says besides.
        probe: uint8 (n, side, side), a few pictures to compare the export on.
    """

    model: keras.Model
    history: History
    thresholds: dict[Sign, float]
    limits: Limits
    description: JsonObject
    probe: Plane


def train_gate(table: pd.DataFrame, images: Plane, shared: CommonParams, params: GateParams) -> TrainedGate:
    """Train the gate's network on the train split, and set all thresholds on the validation split.

    Args:
        table: A split table.
        images: uint8 (n, side, side).
        shared: Seed, classes and runtime.
        params: The section `train_gate`.

    Raises:
        DataError: A split is empty.
        ParamsError: The network's input would be larger than the planes.
    """
    if params.side > images.shape[1]:
        raise ParamsError(
            f"params.yaml: train_gate.side is {params.side}, but the planes have {images.shape[1]} pixels; lower "
            f"it, or raise image.side"
        )
    make_reproducible(shared.runtime, shared.seed)
    train, validation = (examples(table, images, split, shared.classes).planes for split in ("train", "validation"))
    checked = gather(validation, params, shared.seed + 1)
    fitted, history = fit_gate(gather(train, params, shared.seed), checked, params, shared.seed)
    model = with_distances(fitted, train, validation, params)
    upright = _scores(model, validation)
    thresholds = thresholds_of(upright, params)
    views, targets = fixed_views(checked, params, shared.seed, images.shape[1])
    description = {
        "validation": shares_seen(upright, _scores(model, views[..., 0]), targets, thresholds),
        "gflop_per_image": gflop(model),
        "parameters": model.count_params(),
        "training": {"epochs": len(history), "best_epoch": min(history, key=lambda epoch: epoch["val_loss"])["epoch"]},
        "params": {"seed": shared.seed, "train_gate": params.model_dump(mode="json")},
        "data": data_summary(table),
        "environment": environment(),
    }
    probe = np.concatenate([validation[:AGREEMENT_PLANES], views[:AGREEMENT_PLANES, ..., 0]])
    return TrainedGate(model, history, thresholds, limits_of(validation, params.limits), description, probe)


def write_gate(folder: Path, trained: TrainedGate) -> None:
    """Write network, history and description.

    Raises:
        ModelError: The export does not agree with Keras.
    """
    make_folder(folder)
    export_network(trained.model, folder)
    move(folder / NETWORK_WEIGHTS_FILE, folder / GATE_WEIGHTS_FILE)
    move(folder / NETWORK_FILE, folder / GATE_NETWORK_FILE)
    assert_gate_agreement(trained.model, GateNetwork(folder / GATE_NETWORK_FILE), trained.probe)
    write_history(folder, trained.history)
    write_json(
        folder / GATE_FILE,
        {
            "gate": GATE_FORM,
            "image_side": trained.model.input_shape[1],
            "network": {"sha256": network_fingerprint(folder)},
            "outputs": [sign.value for sign in Sign],
            "limits": limits_form(trained.limits),
            "thresholds": {sign.value: trained.thresholds[sign] for sign in Sign},
            **trained.description,
        },
    )


def assert_gate_agreement(model: keras.Model, network: GateNetwork, planes: Plane) -> None:
    """Compare the exported network with Keras on the same planes, uint8 (n, side, side).

    Raises:
        ModelError: A probability differs by more than AGREEMENT, or a distance by more than DISTANCE_AGREEMENT.
    """
    expected, found = _scores(model, planes), network.scores(planes).astype(np.float64)
    apart = np.abs(expected - found) / np.maximum(1.0, expected)
    allowed = [DISTANCE_AGREEMENT if sign is Sign.OUT_OF_DISTRIBUTION else AGREEMENT for sign in Sign]
    if not (apart <= allowed).all():
        raise ModelError(
            f"the exported gate differs from Keras by {apart.max():.2e} in a score (at most {AGREEMENT:.0e} in a "
            f"probability, {DISTANCE_AGREEMENT:.0e} in a distance)"
        )


def _scores(model: keras.Model, planes: Plane) -> Scores:
    answers = model.predict(planes[..., np.newaxis], batch_size=64, verbose=0)["scores"]
    return np.asarray(answers, np.float64)
