"""Train the gate from start to finish, and write its folder."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.dataset.describing import data_summary
from cxr.errors import ModelError, ParamsError
from cxr.files import JsonObject, whole_file, write_json
from cxr.gate import (
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
from cxr.model_folder import NETWORK_FILE, NETWORK_WEIGHTS_FILE
from cxr.models.tf import keras
from cxr.params import CommonParams
from cxr.planes import Plane
from cxr.training.examples import examples
from cxr.training.export import AGREEMENT, export_network, gflop
from cxr.training.gate_examples import fixed_views, gather
from cxr.training.gate_fit import fit_gate, with_distances
from cxr.training.gate_params import GateParams
from cxr.training.gate_thresholds import Scores, limits_of, shares_seen, thresholds_of
from cxr.training.loop import History
from cxr.training.reproducible import environment, make_reproducible

HISTORY_FILE = "history.csv"
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
    folder.mkdir(parents=True, exist_ok=True)
    export_network(trained.model, folder)
    (folder / NETWORK_WEIGHTS_FILE).replace(folder / GATE_WEIGHTS_FILE)
    (folder / NETWORK_FILE).replace(folder / GATE_NETWORK_FILE)
    assert_gate_agreement(trained.model, GateNetwork(folder / GATE_NETWORK_FILE), trained.probe)
    with whole_file(folder / HISTORY_FILE) as temporary:
        pd.DataFrame(trained.history).to_csv(temporary, index=False, lineterminator="\n")
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
