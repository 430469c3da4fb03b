"""The last layer of a trained network, fitted anew on films that the layers before it did not learn from.

The layers before it find what would serve elsewhere too; the last one weighs it by what tells the collections of its
training apart, one of which may hold all normal films. Fitted with the normal films of other hospitals, on collections
that count alike, it relies on that less (Kirichenko 2022, https://arxiv.org/abs/2204.02937). It takes seconds, so that
each hospital can be left out, and decisions can be fitted on what is said of a hospital that was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from cxr.core.errors import DataError, ParamsError
from cxr.core.files import JsonObject, read_json
from cxr.core.image import Plane, pixels_digest
from cxr.core.manifest import data_fingerprint, data_summary
from cxr.core.params import CommonParams, Section
from cxr.inference.network import DESCRIPTION_FILE, LAST_LAYER, LinearHead, Stored
from cxr.models import TrainParams, architecture
from cxr.models.layers import keras, network
from cxr.training.devices import make_reproducible
from cxr.training.loop import HISTORY_FILE, History
from cxr.training.train import AGREEMENT_PLANES, WEIGHTS_FILE, Trained, gflop
from cxr.training.transfer import logistic_regression

FOLDS = 5
ANSWER_BATCH = 64
DECIMALS = 6  # of logits in a table
SCALING_DECIMALS = 4
SMALL = 1e-9  # penalty that makes the biases unique
HELD_OUT, VALIDATION = "held_out", "validation"
ELSEWHERE = "elsewhere"  # films of the hospitals, which no split holds
PIXELS = "plane_sha256"
ASKED = "asked"  # films of theirs of classes that are not learnt
LEARNED = ("train", VALIDATION, ELSEWHERE)


class LastLayerParams(Section):
    """The section `last_layer` of release/params.yaml."""

    network: str = Field("lite0", description="Architecture of the network whose last layer is fitted anew.")
    hospitals: tuple[str, ...] = Field(
        (), description="Sources that only the last layer learns from, and is asked without."
    )
    learns: tuple[str, ...] = Field(("normal",), description="Classes of their films that it learns; all are asked.")
    kept: float = Field(0.1, ge=0, lt=1, description="Share of the layer that the network was trained with in the sum.")
    strength: float = Field(0.01, gt=0, description="Inverse of the penalty on squared weights, as scikit-learn's C.")
    stored: Stored = Field("float32", description="How weights are stored; whatever it is, float32 is computed with.")
    calibrate: bool = Field(
        False, description="Calibrate it by a temperature and a bias a class, by answers on films not learnt from."
    )
    unseen: float = Field(8.0, ge=1, description="Weight of films that the layers before it did not learn from.")


@dataclass(frozen=True, slots=True)
class FittedAnew:
    """What comes of it.

    Attributes:
        trained: The network with its new last layer.
        calibration: See `calibration`.
        answers: See `leave_hospitals_out`.
    """

    trained: Trained
    calibration: pd.DataFrame
    answers: pd.DataFrame


def fit_anew(
    folder: Path,
    table: pd.DataFrame,
    manifest: pd.DataFrame,
    planes: Plane,
    shared: CommonParams,
    params: LastLayerParams,
    recipe: TrainParams,
) -> FittedAnew:
    """Fit the last layer of the trained network in `folder` anew.

    Args:
        folder: As its train stage wrote it; nothing in it is changed.
        table: The split table.
        manifest: The table that `prepare` wrote.
        planes: uint8 (n, side, side), of the side that the network takes; rows are named by the column `index`.
        shared: Seed, classes and runtime.
        params: The section `last_layer`.
        recipe: The section `train_<network>` that the network was trained with.

    Raises:
        ParamsError, DataError: As `films_table`, `fit_last_layer` and `calibration`.
    """
    own = films_table(table, manifest, params, shared.classes)
    make_reproducible(shared.runtime, shared.seed)
    before = architecture(params.network).build(planes.shape[1], len(shared.classes), recipe)
    before.load_weights(folder / WEIGHTS_FILE)
    model, asked = with_moments(before, recipe.dropout), planes[own["index"].to_numpy()]
    named = own.assign(**{PIXELS: [pixels_digest(plane) for plane in asked]})
    films = Films(named, pooled(model, asked), shared.classes, layer_before(before))
    # With one thread no digit depends on the number of cores, or on what else they do.
    with threadpool_limits(limits=1):
        head, calibrated = fitted(films, params)
        answers = leave_hospitals_out(films, params)
    model.get_layer("logits").set_weights([head.weights, head.bias])
    probe = planes[table.loc[table["split"] == VALIDATION, "index"].to_numpy()[:AGREEMENT_PLANES]]
    trained = Trained(model, _history(folder), _described(folder, model, table, own, params), probe)
    return FittedAnew(trained, calibrated, answers)


def _history(folder: Path) -> History:
    epochs = pd.read_csv(folder / HISTORY_FILE).to_dict("records")
    return [{str(name): value for name, value in epoch.items()} for epoch in epochs]


def _described(
    folder: Path, model: keras.Model, table: pd.DataFrame, own: pd.DataFrame, params: LastLayerParams
) -> JsonObject:
    """Return the description of the network in `folder`, with what the new last layer changes."""
    described = read_json(folder / DESCRIPTION_FILE)
    return described | {
        "name": LAST_LAYER,
        "architecture": params.network,
        "parameters": model.count_params(),
        "gflop_per_image": gflop(model),
        "params": described["params"] | {"last_layer": params.model_dump(mode="json")},
        "data": data_summary(table),
        "elsewhere": elsewhere(own),
    }


@dataclass(frozen=True, slots=True)
class Films:
    """What the last layer learns from: one row of `table` and of `features` a film.

    Attributes:
        table: Columns file, label, source, split, group, plane_sha256 (`pixels_digest` of the plane).
        features: float64 (n, d), pooled.
        classes: In the order of the logits.
        before: The last layer that the network was trained with, on the same features.
    """

    table: pd.DataFrame
    features: NDArray[np.float64]
    classes: tuple[str, ...]
    before: LinearHead

    def logits(self, head: LinearHead, rows: NDArray[np.bool_]) -> pd.DataFrame:
        """Return columns file, actual, plane_sha256 and logit_<class> for the rows that bool (n,) `rows` marks."""
        found = (self.features[rows] @ head.weights + head.bias).round(DECIMALS)
        named = {f"logit_{label}": found[:, number] for number, label in enumerate(self.classes)}
        chosen = self.table[rows]
        own = {"file": "file", "actual": "label", PIXELS: PIXELS}
        return pd.DataFrame({name: chosen[column].to_numpy() for name, column in own.items()} | named)


def films_table(
    split: pd.DataFrame, manifest: pd.DataFrame, params: LastLayerParams, classes: Sequence[str]
) -> pd.DataFrame:
    """Return the split table and below it the films of the hospitals, as splits of their own.

    What shows a film or a patient of the split table again is left out: it may be of the test split.

    Raises:
        ParamsError: A hospital is no source of the manifest, or the split table has films of it.
    """
    absent = sorted(set(params.hospitals) - set(manifest["source"]))
    if absent:
        known = ", ".join(sorted(set(manifest["source"]) - {""})) or "none"
        raise ParamsError(
            f"params.yaml: last_layer.hospitals names {absent[0]}, which is no source of the images; expected some of: "
            f"{known}"
        )
    learned = sorted(set(params.hospitals) & set(split["source"]))
    if learned:
        raise ParamsError(
            f"params.yaml: last_layer.hospitals names {learned[0]}, which the layers before learn from: add it to "
            "balance.without"
        )
    own = manifest[manifest["source"].isin(params.hospitals) & manifest["label"].isin(classes)]
    shown = own["duplicate_group"].isin(split["duplicate_group"]) | own["patient"].isin(set(split["patient"]) - {""})
    own = own[~shown].drop_duplicates("pixels_sha256")
    # A patient, or else a picture and its near copies, is one group, beyond those of the split table.
    patients = own["patient"].to_numpy(str)
    groups_of = np.where(patients != "", patients, own["duplicate_group"].to_numpy(str))
    groups = np.unique(groups_of, return_inverse=True)[1] + int(split["group"].max()) + 1
    splits = np.where(own["label"].isin(params.learns), ELSEWHERE, ASKED)
    return pd.concat([split, own.assign(split=splits, group=groups)], ignore_index=True)


def _label_counts(labels: "pd.Series[str]") -> dict[str, int]:
    """Return films by class, in the order of the names."""
    return {str(name): int(number) for name, number in labels.value_counts().sort_index().items()}


def elsewhere(table: pd.DataFrame) -> JsonObject:
    """Return how many films of each hospital the last layer learnt from, by class, and their fingerprint."""
    own = table[table["split"] == ELSEWHERE]
    films = {str(source): _label_counts(rows["label"]) for source, rows in own.groupby("source")}
    return {"films": films, "sha256": data_fingerprint(own)}


def with_moments(model: keras.Model, dropout: float) -> keras.Model:
    """Return the network with powers of its last feature map beside the map, and a last layer that is to be fitted.

    Pooled, the square, and the cube of what is above nought, say how unevenly a filter answers over the film: a patch
    on one side and a veil over both lungs have the same mean. The layers before are shared with `model`.
    """
    feature_map = model.get_layer("feature_map").input
    squares = keras.layers.Multiply(name="squares")([feature_map, feature_map])
    cubes = keras.layers.Multiply(name="cubes")([squares, keras.layers.ReLU(name="above_nought")(feature_map)])
    moments = keras.layers.Concatenate(name="moments")([feature_map, squares, cubes])
    return network(model.inputs[0], moments, model.output["logits"].shape[-1], dropout)


def layer_before(model: keras.Model) -> LinearHead:
    """Return the last layer of a network before `with_moments`, on all moments: only the mean counts in it."""
    kernel, bias = model.get_layer("logits").get_weights()
    return LinearHead(np.concatenate([kernel, np.zeros_like(kernel), np.zeros_like(kernel)]), bias)


def pooled(model: keras.Model, planes: Plane) -> NDArray[np.float64]:
    """Return the pooled features of uint8 (n, side, side), float64 (n, d)."""
    features = keras.Model(model.inputs, model.output["features"])
    return np.asarray(features.predict(planes[..., np.newaxis], batch_size=ANSWER_BATCH, verbose=0), np.float64)


def fit_last_layer(films: Films, learned: NDArray[np.bool_], params: LastLayerParams) -> LinearHead:
    """Fit logistic regression in which classes count alike, and in each class its sources, and mix the layer before in.

    The layer before knows the collections of its training better, and relies on what tells them apart: a share of it,
    `kept`, trades the one for the other.

    Args:
        films: With their features.
        learned: bool (n,), films to learn from.
        params: The section `last_layer`.

    Raises:
        DataError: A class has no film to learn from.
    """
    table = films.table[learned]
    counts, features = _film_weights(table, params), films.features[learned]
    mean, spread = np.average(features, axis=0, weights=counts), features.std(axis=0) + 1e-6
    standard = (features - mean) / spread
    kernel, bias = logistic_regression(standard, table["label"].tolist(), films.classes, params.strength, counts)
    kernel = kernel / spread[:, np.newaxis]
    weights, bias = (
        ((1 - params.kept) * new + params.kept * old).astype(np.float32)
        for new, old in ((kernel, films.before.weights), (bias - mean @ kernel, films.before.bias))
    )
    return LinearHead(weights, bias)


def _film_weights(table: pd.DataFrame, params: LastLayerParams) -> NDArray[np.float64]:
    """Return the weights of films, of mean one, so that all classes count alike and in each class all its sources."""
    seen = table["split"] == "train"
    own = pd.Series(np.where(seen, 1.0, params.unseen), table.index)
    share = own / own.groupby([table["label"], table["source"]]).transform("sum")
    sources = table.groupby("label")["source"].transform("nunique")
    return np.asarray(share / sources * len(table) / table["label"].nunique(), np.float64)


def fitted(films: Films, params: LastLayerParams, left_out: Sequence[str] = ()) -> tuple[LinearHead, pd.DataFrame]:
    """Fit the last layer on all films but those of the test split, and say what decisions can be fitted on.

    Args:
        films: All.
        params: The section `last_layer`; with `calibrate`, both are calibrated by what is fitted on the second.
        left_out: Sources of which nothing is used.

    Returns:
        The layer, and what `calibration` returns.

    Raises:
        DataError: As `fit_last_layer` and `calibration`.
    """
    learned = films.table["split"].isin(LEARNED).to_numpy() & ~_shown(films.table, left_out)
    head, answers = fit_last_layer(films, learned, params), calibration(films, params, left_out)
    if not params.calibrate:
        return head, answers
    scaling = BiasCorrectedTemperature.of(answers, films.classes)
    return scaling.head(head), scaling.answers(answers, films.classes)


@dataclass(frozen=True, slots=True)
class BiasCorrectedTemperature:
    """Temperature scaling with a bias for each class (Alexandari 2020, https://arxiv.org/abs/1901.06852).

    All logits are multiplied by one number, and each class has a bias of its own. Of films that it did not learn from,
    a layer calls too many COVID-19, and it is too sure: by how much is seen on films that were left out of learning.

    Attributes:
        scale: One over the temperature.
        biases: float64 (classes,), of sum nought; added after scaling.
    """

    scale: float
    biases: NDArray[np.float64]

    @classmethod
    def of(cls, answers: pd.DataFrame, classes: Sequence[str]) -> "BiasCorrectedTemperature":
        """Fit scale and biases by log loss in which classes count alike.

        They are rounded, so that the order of summation changes no byte.

        Args:
            answers: As `calibration` gives them: columns actual and logit_<class>.
            classes: In the order of the logits.

        Raises:
            DataError: There are no answers about films of a class.
        """
        if lacking := sorted(set(classes) - set(answers["actual"])):
            raise DataError(
                f"validation and the other hospitals have no film of {lacking[0]}, so the last layer cannot be "
                "calibrated; run: dvc repro split, or set last_layer.calibrate to false"
            )
        logits = answers[[f"logit_{label}" for label in classes]].to_numpy(np.float64)
        truth = np.eye(len(classes))[answers["actual"].map({label: n for n, label in enumerate(classes)}).to_numpy()]
        counts = truth / truth.sum(axis=0) / len(classes)
        counts = counts.sum(axis=1, keepdims=True)

        def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            logs = log_softmax(logits * values[0] + values[1:], axis=1)
            slope = counts * (np.exp(logs) - truth)
            found = -(counts * truth * logs).sum() + SMALL * (values[1:] ** 2).sum()
            return float(found), np.concatenate([[(slope * logits).sum()], slope.sum(axis=0) + 2 * SMALL * values[1:]])

        found = minimize(loss, np.concatenate([[1.0], np.zeros(len(classes))]), jac=True, method="BFGS").x
        scale, biases = float(found[0]), found[1:] - found[1:].mean()
        return cls(round(scale, SCALING_DECIMALS), biases.round(SCALING_DECIMALS))

    def head(self, head: LinearHead) -> LinearHead:
        """Return the layer whose logits are scaled."""
        weights, bias = head.weights * self.scale, head.bias * self.scale + self.biases
        return LinearHead(weights.astype(np.float32), bias.astype(np.float32))

    def answers(self, table: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
        """Return the table with its logits scaled."""
        columns = [f"logit_{label}" for label in classes]
        scaled = (table[columns] * self.scale + self.biases).round(DECIMALS)
        return table.assign(**{column: scaled[column] for column in columns})


def calibration(films: Films, params: LastLayerParams, left_out: Sequence[str] = ()) -> pd.DataFrame:
    """Say what last layers answer about films that they did not learn from, which decisions can be fitted on.

    Films of validation are answered for by folds over patients and duplicates, those of each hospital by a last layer
    that learnt from no film of it: of a new hospital, too, no film was seen.

    Args:
        films: All.
        params: The section `last_layer`.
        left_out: Sources of which nothing is used.

    Returns:
        Columns network, held_out (empty), file, split (`validation`), actual, plane_sha256, logit_<class>. Its films
        and those of train are what the last layer learns from.

    Raises:
        DataError: Validation cannot be cut into folds.
    """
    table = films.table
    known = table["split"].isin(LEARNED).to_numpy() & ~_shown(table, left_out)
    asked = known & (table["split"] == VALIDATION).to_numpy()
    parts, numbers = [], np.flatnonzero(asked)
    groups = table["group"].to_numpy()[numbers]
    folds = min(FOLDS, len(np.unique(groups)))
    if folds < 2:
        raise DataError(
            "validation has fewer than two patients or pictures: no part of it can be left out; raise split.validation"
        )
    for _, fold in GroupKFold(folds).split(numbers, groups=groups):
        rows = np.isin(np.arange(len(table)), numbers[fold])
        parts.append(films.logits(fit_last_layer(films, known & ~rows, params), rows))
    for hospital in params.hospitals:
        rows = known & (table["source"] == hospital).to_numpy()
        if rows.any():
            head = fit_last_layer(films, known & ~_shown(table, [hospital]), params)
            parts.append(films.logits(head, rows))
    found = pd.concat(parts).assign(network=LAST_LAYER, held_out="", split=VALIDATION)
    return found[_columns(films)].sort_values("file", ignore_index=True)


def _shown(table: pd.DataFrame, hospitals: Sequence[str]) -> NDArray[np.bool_]:
    """Tell which films are of the hospitals, or of a patient or picture that also is theirs."""
    own = table["source"].isin(hospitals)
    return np.asarray(own | table["group"].isin(table.loc[own, "group"]))


def leave_hospitals_out(films: Films, params: LastLayerParams) -> pd.DataFrame:
    """Fit the last layer without each hospital and ask it about that hospital.

    Returns:
        Columns network, held_out, file, split (`held_out`, or `validation`: what decisions are fitted on), actual,
        plane_sha256 and logit_<class>.
    """
    table = films.table
    parts = [pd.DataFrame(columns=_columns(films))]
    for hospital in params.hospitals:
        own = (table["source"] == hospital).to_numpy()
        head, calibrated = fitted(films, params, [hospital])
        parts += [
            calibrated.assign(held_out=hospital),
            films.logits(head, own).assign(held_out=hospital, split=HELD_OUT),
        ]
    found = pd.concat(parts[1:] or parts).assign(network=LAST_LAYER)
    return found[_columns(films)].sort_values(["held_out", "split", "file"], ignore_index=True)


def _columns(films: Films) -> list[str]:
    return ["network", "held_out", "file", "split", "actual", PIXELS, *(f"logit_{label}" for label in films.classes)]
