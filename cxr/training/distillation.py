"""Distillation: networks of one recipe and several seeds, and a small student that learns what they say together.

The mean of such teachers is better than each. A student learns it from softened answers (Hinton 2015,
https://arxiv.org/abs/1503.02531) and from the teachers' pooled features, without labels, on views that are varied more
than a label could bear: what matters is that both look at the same (Beyer 2022, https://arxiv.org/abs/2106.05237).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr.core.errors import ModelError, ParamsError
from cxr.core.files import JsonObject, read_json
from cxr.core.image import Plane
from cxr.core.manifest import data_summary
from cxr.core.params import CommonParams
from cxr.inference.network import DESCRIPTION_FILE, NETWORK_FILE, Network, fingerprint, softmax
from cxr.models import TrainParams, architecture
from cxr.models.layers import keras, tf
from cxr.training.augmentation import augmented
from cxr.training.devices import environment, make_reproducible
from cxr.training.loop import Phase, optimise
from cxr.training.params import StudentParams, TeachersParams
from cxr.training.train import AGREEMENT_PLANES, WEIGHTS_FILE, Trained, gflop, train_network

NAME = "student"
ANSWER_BATCH = 64
VIEW_BATCH = 64  # films that a view may take the style of, or be mixed with
SMALLEST_SPREAD = 1e-6
MOMENTUM = 0.95  # of the averages that bring the student's own pooled features to one level


def train_teachers(
    table: pd.DataFrame,
    planes: Plane,
    shared: CommonParams,
    params: TeachersParams,
    recipe: TrainParams,
    weights: Path,
) -> Iterator[Trained]:
    """Train one network after the other, as `train_network` does, but for the seed.

    Args:
        table: The split table.
        planes: uint8 (n, side, side), rows are named by the column `index`.
        shared: Classes and runtime; `params` has the seeds.
        params: The section `train_teachers`.
        recipe: The section `train_<network>`.
        weights: Folder where files of weights are looked for.

    Yields:
        Each, named `teacher_<seed>`.
    """
    for seed in params.seeds:
        own = shared.model_copy(update={"seed": seed})
        trained = train_network(params.network, table, planes, own, recipe, weights)
        named = {"name": f"teacher_{seed}", "architecture": params.network}
        yield replace(trained, description=trained.description | named)


def train_student(
    folders: Sequence[Path],
    table: pd.DataFrame,
    planes: Plane,
    shared: CommonParams,
    params: StudentParams,
    recipe: TrainParams,
) -> Trained:
    """Train a student of the networks in `folders`; it starts with the weights of the first.

    Args:
        folders: Of the teachers, as their train stages wrote them.
        table: The split table; the films of its train split are learnt from, those of validation are checked on.
        planes: uint8 (n, side, side), rows are named by the column `index`.
        shared: Seed, classes and runtime.
        params: The section `train_student`.
        recipe: The section `train_<network>`, which the teachers were trained with.

    Raises:
        ParamsError: It is larger than the planes.
        ModelError: A teacher takes planes of another side.
    """
    if params.side > planes.shape[1]:
        raise ParamsError(
            f"params.yaml: train_student.side is {params.side}, but the planes have {planes.shape[1]} pixels; "
            f"enlarging adds nothing: lower it, or raise train_{params.network}.side"
        )
    require_planes(folders, planes.shape[1])
    make_reproducible(shared.runtime, shared.seed)
    teachers = [Network(folder / NETWORK_FILE) for folder in folders]
    model = _first(folders[0], planes.shape[1], shared, params, recipe)

    learned, checked = (planes[table.loc[table["split"] == one, "index"].to_numpy()] for one in ("train", "validation"))
    drawn = views(learned, params, shared.seed)
    said = answers(teachers, drawn)
    scale = Scale.of(said.features)
    history = optimise(
        matching(model, said.features.shape[1]),
        _batches(drawn, said.targets(scale, params.temperature), params.batch_size, shared.seed),
        _batches(checked, answers(teachers, checked).targets(scale, params.temperature), params.batch_size),
        params,
        Phase(NAME),
        task=_task(len(shared.classes), params),
    )
    described = _described(folders, model, table, shared, params, min(history, key=lambda row: row["val_loss"]))
    return Trained(model, history, described, checked[:AGREEMENT_PLANES])


def require_planes(folders: Sequence[Path], side: int) -> None:
    """Raise ModelError where a network takes planes of another side in pixels."""
    for folder in folders:
        own = read_json(folder / DESCRIPTION_FILE)["image_side"]
        if own != side:
            raise ModelError(
                f"{folder.name} takes planes of {own} pixels, but these have {side}; train it again: dvc repro "
                "release/dvc.yaml"
            )


def _first(
    folder: Path, plane_side: int, shared: CommonParams, params: StudentParams, recipe: TrainParams
) -> keras.Model:
    """Return the student with the weights of the teacher in `folder`, which do not depend on the side."""
    build = architecture(params.network).build
    teacher = build(plane_side, len(shared.classes), recipe)
    teacher.load_weights(folder / WEIGHTS_FILE)
    model = build(plane_side, len(shared.classes), recipe.model_copy(update={"side": params.side}))
    model.set_weights(teacher.get_weights())
    return model


def views(films: Plane, params: StudentParams, seed: int) -> Plane:
    """Draw `params.views` views of each film: as it is, varied, or varied and mixed with another film.

    Args:
        films: uint8 (n, side, side).
        params: The section `train_student`.
        seed: The same gives the same views.

    Returns:
        uint8 (n * views, side, side).
    """
    random = np.random.default_rng(seed)
    found = [films]
    for _ in range(params.views - 1):
        order = random.permutation(len(films))
        for start in range(0, len(films), VIEW_BATCH):
            draw = tf.constant(random.integers(0, 1 << 31, 2), tf.int64)
            batch = films[order[start : start + VIEW_BATCH], ..., np.newaxis]
            varied = augmented(tf.constant(batch), params.augment, draw).numpy()[..., 0]
            found.append(_mixed(varied, params.mixed, random))
    return np.concatenate(found)


def _mixed(films: Plane, share: float, random: np.random.Generator) -> Plane:
    """Lay another film of the batch over a share of them, each by its own weight (Zhang 2018, mixup)."""
    weights = np.where(random.random(len(films)) < share, random.random(len(films)), 1.0)[:, np.newaxis, np.newaxis]
    mean = weights * films + (1 - weights) * films[random.permutation(len(films))]
    return np.asarray(np.rint(mean), np.uint8)


@dataclass(frozen=True, slots=True)
class Answers:
    """What teachers say of films.

    Attributes:
        logits: float32 (n, classes), their mean.
        features: float32 (n, d), the means and mean squares of each teacher's last map, side by side.
    """

    logits: NDArray[np.float32]
    features: NDArray[np.float32]

    def targets(self, scale: "Scale", temperature: float) -> NDArray[np.float32]:
        """Return softened probabilities and standardised features side by side, float32 (n, classes + d)."""
        features = (self.features - scale.mean) / scale.spread
        return np.concatenate([softmax(self.logits / temperature), features], axis=1, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean and spread of each feature over the views that are learnt from, float32 (d,)."""

    mean: NDArray[np.float32]
    spread: NDArray[np.float32]

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> "Scale":
        """Measure float32 (n, d)."""
        return cls(features.mean(axis=0), features.std(axis=0) + np.float32(SMALLEST_SPREAD))


def answers(teachers: Sequence[Network], planes: Plane) -> Answers:
    """Ask the teachers about uint8 (n, side, side)."""
    logits, features = [], []
    for start in range(0, len(planes), ANSWER_BATCH):
        said = [teacher.predict(planes[start : start + ANSWER_BATCH]) for teacher in teachers]
        logits.append(np.mean([one.logits for one in said], axis=0))
        squares = [np.square(one.feature_map).mean(axis=(1, 2)) for one in said]
        parts = [part for one, square in zip(said, squares, strict=True) for part in (one.features, square)]
        features.append(np.concatenate(parts, axis=1))
    return Answers(np.concatenate(logits).astype(np.float32), np.concatenate(features).astype(np.float32))


def matching(model: keras.Model, width: int) -> keras.Model:
    """Return the network with what it makes of the teachers' `width` features beside its logits, as one output.

    The layers that make it are thrown away after training.
    """
    feature_map = model.output["feature_map"]
    pooled = keras.layers.Concatenate(name="pooled")(
        [
            model.output["features"],
            keras.layers.GlobalAveragePooling2D(name="squares")(
                keras.layers.Multiply(name="squared")([feature_map, feature_map])
            ),
        ]
    )
    level = keras.layers.BatchNormalization(momentum=MOMENTUM, center=False, scale=False, name="level")(pooled)
    made = keras.layers.Dense(width, dtype="float32", name="matched")(level)
    both = keras.layers.Concatenate(name="logits_and_matched")([model.output["logits"], made])
    return keras.Model(model.inputs, both)


def _task(classes: int, params: StudentParams) -> "tuple[keras.losses.Loss, keras.metrics.Metric]":
    """Return the loss, and the share of views that get the teachers' most probable class."""

    def loss(targets: "tf.Tensor", found: "tf.Tensor") -> "tf.Tensor":
        soft = keras.losses.categorical_crossentropy(
            targets[:, :classes], found[:, :classes] / params.temperature, from_logits=True
        )
        missed = tf.reduce_mean(tf.square(targets[:, classes:] - found[:, classes:]), axis=1)
        return params.temperature**2 * soft + params.features * missed

    def same(targets: "tf.Tensor", found: "tf.Tensor") -> "tf.Tensor":
        return keras.metrics.categorical_accuracy(targets[:, :classes], found[:, :classes])

    return loss, keras.metrics.MeanMetricWrapper(same, name="accuracy")


def _batches(
    planes: Plane, targets: NDArray[np.float32], batch_size: int, seed: int | None = None
) -> "tf.data.Dataset":
    """Give planes and targets, in another order each epoch where there is a seed."""
    numbers = tf.data.Dataset.range(len(planes))
    if seed is not None:
        numbers = numbers.shuffle(len(planes), seed=seed)
    all_planes, all_targets = tf.constant(planes[..., np.newaxis]), tf.constant(targets)
    return numbers.batch(batch_size).map(lambda rows: (tf.gather(all_planes, rows), tf.gather(all_targets, rows)))


def _described(
    folders: Sequence[Path],
    model: keras.Model,
    table: pd.DataFrame,
    shared: CommonParams,
    params: StudentParams,
    best: dict[str, float],
) -> JsonObject:
    teachers = [read_json(folder / DESCRIPTION_FILE) for folder in folders]
    first = teachers[0]
    return {
        "name": NAME,
        "architecture": params.network,
        "classes": list(shared.classes),
        "image_side": model.input_shape[1],
        "side": params.side,
        "initialisation": first["initialisation"],
        "initial_weights_sha256": first["initial_weights_sha256"],
        "parameters": model.count_params(),
        "gflop_per_image": gflop(model),
        "training": {
            "epochs": params.epochs,
            "best_epoch": best["epoch"],
            "validation_loss": best["val_loss"],
            "phases": {"whole": params.epochs},
        },
        "teachers": [
            {"name": one["name"], "seed": one["params"]["seed"], "network_sha256": fingerprint(folder)}
            for one, folder in zip(teachers, folders, strict=True)
        ],
        "params": {
            "seed": shared.seed,
            "runtime": shared.runtime.model_dump(mode="json"),
            f"train_{params.network}": first["params"][f"train_{params.network}"],
            "train_student": params.model_dump(mode="json"),
        },
        "data": data_summary(table),
        "environment": environment(),
    }
