"""Train the lung segmenter from start to finish: who learns, fit, figures on films held out, and its folder."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr.core.errors import DataError, ModelError, ParamsError
from cxr.core.files import JsonObject, make_folder, move, write_json
from cxr.core.image import Masks, Plane
from cxr.core.manifest import SPLITS, data_summary
from cxr.core.params import CommonParams
from cxr.inference.lungs import (
    LUNGS,
    LUNGS_FILE,
    LUNGS_FORM,
    LUNGS_NETWORK_FILE,
    LUNGS_WEIGHTS_FILE,
    LungNetwork,
    Segmenter,
    box_of,
    lung_network_fingerprint,
)
from cxr.inference.network import NETWORK_FILE, NETWORK_WEIGHTS_FILE
from cxr.models.layers import keras, tf
from cxr.models.lungs import build
from cxr.training.augmentation import augmented_with_masks
from cxr.training.devices import environment, make_reproducible
from cxr.training.loop import History, Phase, optimise, write_history
from cxr.training.params import LungParams
from cxr.training.train import INNER_AGREEMENT, export_network, gflop, store_half

AHEAD = 4
ANSWER_BATCH = 64
AGREEMENT_PLANES = 16
DIGITS = 6
OFF = 0.1  # of the side: a box with an edge farther than this from the mask's is wrong

Floats = NDArray[np.float64]


def films_with_masks(
    split: pd.DataFrame, manifest: pd.DataFrame, masks: Plane, params: LungParams, seed: int
) -> pd.DataFrame:
    """Return the films that have a lung mask, with the column `split`.

    Those of the split table keep their split; of those that no split holds, a share `held_out` is of test, patients and
    copies together, and the rest of train. What shows a film or a patient of the split table again is left out.

    Args:
        split: The split table.
        manifest: The table that `prepare` wrote.
        masks: uint8 (n, side, side), rows as the column `index`.
        params: The recipe.
        seed: Decides which are held out.

    Raises:
        DataError: No film of train, of validation or of test has a mask.
    """
    drawn = np.asarray(masks.any(axis=(1, 2)))
    own, others = (rows[drawn[rows["index"].to_numpy()]] for rows in (split, manifest))
    shown = others["duplicate_group"].isin(split["duplicate_group"])
    others = others[~shown & ~others["patient"].isin(set(split["patient"]) - {""})]
    groups = np.where(others["patient"] != "", others["patient"], others["duplicate_group"].astype(str))
    names, numbers = np.unique(groups, return_inverse=True)
    held_out = np.random.default_rng(seed).random(len(names)) < params.held_out
    others = others.assign(split=np.where(held_out[numbers], "test", "train"))
    films: pd.DataFrame = pd.concat([own, others], ignore_index=True)
    lacking = sorted(set(SPLITS) - set(films["split"]))
    if lacking:
        raise DataError(
            f"no image of the split {lacking[0]} has a lung mask, so no segmenter can be trained and measured; lay "
            "more masks beside the images, in masks/ of a class folder, or none: then the packaged segmenter is taken"
        )
    return films


def lung_loss(targets: "tf.Tensor", logits: "tf.Tensor") -> "tf.Tensor":
    """Return of each film the mean cross entropy of its pixels, and one less the Dice of its probabilities.

    The first is for edges, the second for small lungs, which few pixels speak for.
    """
    axes = [1, 2, 3]
    entropy = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(targets, logits), axis=axes)
    lungs = tf.sigmoid(logits)
    both = tf.reduce_sum(lungs * targets, axis=axes)
    return entropy + 1 - (2 * both + 1) / (tf.reduce_sum(lungs, axis=axes) + tf.reduce_sum(targets, axis=axes) + 1)


def fit_lungs(
    train: tuple[Plane, Plane], validation: tuple[Plane, Plane], params: LungParams, seed: int
) -> tuple[keras.Model, History]:
    """Train the network on films and masks, uint8 (n, side, side) both.

    Returns:
        The model with the weights of the epoch of lowest validation loss, and its history; accuracy is the share of
        pixels that are right.
    """
    model = build(train[0].shape[1], params.side)
    films, masks = (planes[..., np.newaxis] for planes in train)
    shuffled = tf.data.Dataset.from_tensor_slices((films, masks)).shuffle(len(films), seed=seed)
    draws = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)
    batches = tf.data.Dataset.zip(shuffled.batch(params.batch_size), draws).map(
        lambda batch, draw: augmented_with_masks(batch[0], batch[1], params.augment, draw), num_parallel_calls=2
    )
    asked, known = (planes[..., np.newaxis] for planes in validation)
    checked = tf.data.Dataset.from_tensor_slices((asked, (known > 0).astype(np.float32))).batch(ANSWER_BATCH)
    task = lung_loss, keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)
    trained = keras.Model(model.inputs, model.output[LUNGS])
    return model, optimise(trained, batches.prefetch(AHEAD), checked, params, Phase(LUNGS), task=task)


def dice_of(found: Masks, drawn: Masks) -> Floats:
    """Return Dice's coefficient of each pair of masks, bool (n, side, side), 0 to 1; 1 where both are empty."""
    both, either = (found & drawn).sum(axis=(1, 2)), found.sum(axis=(1, 2)) + drawn.sum(axis=(1, 2))
    return np.where(either > 0, 2 * both / np.maximum(either, 1), 1.0)


def box_is_wrong(found: Masks, drawn: Masks) -> bool:
    """Tell whether the box of a mask, bool (side, side), is absent or has an edge more than OFF from the true one."""
    box, truth = box_of(found), box_of(drawn)
    if box is None or truth is None:
        return box != truth
    return bool(np.abs(np.subtract(box, truth)).max() > OFF * len(drawn))


def measure(films: pd.DataFrame, found: Masks, drawn: Masks) -> list[JsonObject]:
    """Return for each source its films, mean and lowest Dice, and the share whose box is wrong.

    Args:
        films: n rows with `source`.
        found: bool (n, side, side), by the segmenter.
        drawn: The same, by hand.
    """
    dice = dice_of(found, drawn)
    wrong = np.array([box_is_wrong(*pair) for pair in zip(found, drawn, strict=True)])
    sources = films["source"].to_numpy(str)
    rows = [(str(source), sources == source) for source in np.unique(sources)]
    return [
        {
            "source": source,
            "films": int(own.sum()),
            "dice": round(float(dice[own].mean()), DIGITS),
            "lowest_dice": round(float(dice[own].min()), DIGITS),
            "box_wrong": round(float(wrong[own].mean()), DIGITS),
        }
        for source, own in rows
    ]


@dataclass(frozen=True, slots=True)
class TrainedLungs:
    """A trained segmenter.

    Attributes:
        model: From planes to logits.
        history: One dict an epoch.
        description: What lungs.json says besides.
        held_out: The films that it is measured by.
        planes: Theirs, uint8 (n, side, side).
        masks: Theirs, bool (n, side, side).
    """

    model: keras.Model
    history: History
    description: JsonObject
    held_out: pd.DataFrame
    planes: Plane
    masks: Masks


def train_lungs(
    split: pd.DataFrame, manifest: pd.DataFrame, images: Plane, masks: Plane, shared: CommonParams, params: LungParams
) -> TrainedLungs:
    """Train the segmenter on the films that have a lung mask.

    Args:
        split: The split table.
        manifest: The table that `prepare` wrote.
        images: uint8 (n, side, side).
        masks: The same, 255 in the lungs.
        shared: Seed, classes and runtime.
        params: The section `train_lungs`.

    Raises:
        DataError: As `films_with_masks`.
        ParamsError: The network's input would be larger than the planes.
    """
    if params.side > images.shape[1]:
        raise ParamsError(
            f"params.yaml: train_lungs.side is {params.side}, but the planes have {images.shape[1]} pixels; lower "
            f"it, or raise image.side"
        )
    films = films_with_masks(split, manifest, masks, params, shared.seed)
    make_reproducible(shared.runtime, shared.seed)
    rows = {name: films[films["split"] == name] for name in SPLITS}
    train, validation, test = (_pairs(rows[name], images, masks) for name in SPLITS)
    model, history = fit_lungs(train, validation, params, shared.seed)
    description = {
        "gflop_per_image": gflop(model),
        "parameters": model.count_params(),
        "training": {"epochs": len(history), "best_epoch": min(history, key=lambda epoch: epoch["val_loss"])["epoch"]},
        "params": {"seed": shared.seed, "train_lungs": params.model_dump(mode="json")},
        "data": data_summary(films),
        "environment": environment(),
    }
    return TrainedLungs(model, history, description, rows["test"], test[0], test[1] > 0)


def _pairs(rows: pd.DataFrame, images: Plane, masks: Plane) -> tuple[Plane, Plane]:
    numbers = rows["index"].to_numpy()
    return np.ascontiguousarray(images[numbers]), np.ascontiguousarray(masks[numbers])


def write_lungs(folder: Path, trained: TrainedLungs) -> None:
    """Write network, history and description, with the figures of the written network on the films held out.

    Raises:
        ModelError: The export does not agree with Keras.
    """
    make_folder(folder)
    export_network(trained.model, folder)
    _assert_agreement(trained.model, LungNetwork(folder / NETWORK_FILE), trained.planes[:AGREEMENT_PLANES])
    store_half(folder)
    move(folder / NETWORK_WEIGHTS_FILE, folder / LUNGS_WEIGHTS_FILE)
    move(folder / NETWORK_FILE, folder / LUNGS_NETWORK_FILE)
    side, sha256 = trained.model.input_shape[1], lung_network_fingerprint(folder)
    found = Segmenter(LungNetwork(folder / LUNGS_NETWORK_FILE), side, sha256).masks(trained.planes)
    write_history(folder, trained.history)
    write_json(
        folder / LUNGS_FILE,
        {
            LUNGS: LUNGS_FORM,
            "image_side": side,
            "network": {"sha256": sha256},
            "held_out": measure(trained.held_out, found, trained.masks),
            **trained.description,
        },
    )


def _assert_agreement(model: keras.Model, network: LungNetwork, planes: Plane) -> None:
    expected = model.predict(planes[..., np.newaxis], batch_size=ANSWER_BATCH, verbose=0)[LUNGS][..., 0]
    apart = np.abs(expected - network.lungs(planes)).max() / max(1.0, float(np.abs(expected).max()))
    if not apart <= INNER_AGREEMENT:
        raise ModelError(
            f"the exported lung segmenter differs from Keras by {apart:.2e} in a logit (at most {INNER_AGREEMENT:.0e})"
        )
