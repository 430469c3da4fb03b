"""Networks that were never run: a split table, outputs written by hand, and the candidates made of them."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from cxr.core.files import write_json
from cxr.core.manifest import write_table
from cxr.core.records import as_json
from cxr.evaluation.candidates import Candidate, EvaluateParams, fit_on_validation
from cxr.imaging.decode import plane_rule
from cxr.inference.gate import FLAGS, unjudged
from cxr.inference.model_folder import ScreeningModel
from cxr.inference.network import fingerprint
from cxr.inference.outputs import PER_IMAGE, SavedOutputs
from tests.evaluation.audits import exported
from tests.evaluation.stats.cases import outputs
from tests.tables import manifest

CLASSES = ("covid", "normal", "viral_pneumonia")
# Ten images: covid 3 of 4 found, normal 3 of 3, viral 2 of 3; the two errors are called normal.
TRUTH = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
PREDICTED = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 1])
SPLITS = ("train", "train", "train", "validation", "test")
PARAMS = EvaluateParams(target="covid", alpha=0.1)
PIPELINE = dict.fromkeys(("classes", "image", "prepare", "balance", "split"))


def probabilities(sure=0.8):
    values = np.full((10, 3), (1 - sure) / 2)
    values[np.arange(10), PREDICTED] = sure
    return values


def split_table(each=50):
    """Return a split table of `each` images a class: of five, three are of train and one each of the others."""
    table = manifest(dict.fromkeys(CLASSES, each))
    return table.assign(group=table["index"], split=SPLITS * (len(table) // 5))


def planes(table, side=exported.SIDE):
    return np.random.default_rng(9).integers(0, 256, (len(table), side, side), dtype=np.uint8)


def saved(table, name="cnn1", seed=1, skill=2.0):
    """Return outputs for every row of a split table; `skill` is what the logit of the truth has on top of noise."""
    truth = table["label"].map(CLASSES.index).to_numpy(np.int64)
    texts = {column: table[column].to_numpy(str) for column in ("split", "source")}
    numbers = {column: table[column].to_numpy(np.int64) for column in ("index", "group")}
    said = outputs(seed=seed, skill=skill, name=name, truth=truth)
    return replace(said, files=table["file"].to_numpy(str), **texts, **numbers)


def read_outputs(path):
    """Read saved outputs as their user does: NumPy is enough."""
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in PER_IMAGE if name in stored}
        return SavedOutputs(str(stored["name"]), tuple(stored["classes"].tolist()), **arrays)


def description(name="cnn1", synthetic=0):
    return {
        "name": name,
        "classes": list(CLASSES),
        "image_side": exported.SIDE,
        "plane": as_json(plane_rule()),
        "side": exported.SIDE,
        "initialisation": "random",
        "parameters": 208_403,
        "gflop_per_image": 0.078,
        "training": {"epochs": 30, "best_epoch": 25, "validation_loss": 0.2},
        "params": {"seed": 7},
        "data": {
            "images": 150,
            "synthetic_images": synthetic,
            "sha256": "d" * 64,
            "images_per_class": dict.fromkeys(CLASSES, 50),
            "images_per_split": {"test": 30, "train": 90, "validation": 30},
        },
        "environment": {"python": "3.11.7"},
        "network": {"sha256": "0123456789ab" + "0" * 52},
    }


def history():
    return pd.DataFrame(
        {
            "epoch": [1, 2],
            "loss": [1.0, 0.5],
            "accuracy": [0.4, 0.8],
            "val_loss": [0.9, 0.6],
            "val_accuracy": [0.5, 0.7],
        }
    )


def model(name="cnn1", folder=None):
    return ScreeningModel(folder or Path("models") / name, description(name), SimpleNamespace())


def candidate(name="cnn1", seed=1, skill=2.0, folder=None):
    """Return a candidate whose outputs and decisions were made from a split table of 50 images a class."""
    table = split_table()
    said, network = saved(table, name, seed, skill), model(name, folder)
    return Candidate(network, history(), said, fit_on_validation(network, said, table, planes(table), PARAMS))


def judged(rejected, flagged, one):
    """Return what a gate would say of all images of `one`: of its test images by number a reason, or flags."""
    said, test = unjudged(len(one.outputs)), np.flatnonzero(one.outputs.split == "test")
    reasons = said.reasons.astype("<U20")
    for number, reason in rejected.items():
        reasons[test[number]] = reason
    for number, flags in flagged.items():
        said.flags[test[number]] = [flag in flags for flag in FLAGS]
    return replace(said, reasons=reasons)


def trained(folder, name="cnn1"):
    """Write what a train stage leaves, with a network of a few numbers."""
    folder.mkdir(parents=True)
    exported.export(folder / "network.xml")
    network = {"network": {"sha256": fingerprint(folder)}}
    write_json(folder / "model.json", description(name) | network)
    write_table(folder / "history.csv", history())
    return folder
