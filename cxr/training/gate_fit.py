"""Fit the gate's network, and measure how its features lie on upright radiographs."""

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from cxr.models.gate import Whitening, build, with_scores
from cxr.models.tf import keras, tf
from cxr.planes import Plane
from cxr.training.gate_examples import Pictures, fixed_views, view_batches
from cxr.training.gate_params import GateParams
from cxr.training.loop import HISTORY_COLUMNS, History
from cxr.training.progress import EpochLines

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
