"""Evaluations made by hand, without a network."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from cxr.evaluation.evaluating import Evaluation
from cxr.evaluation.metrics import measure

CLASSES = ("covid", "normal", "viral_pneumonia")
# Ten images: covid 3 of 4 found, normal 3 of 3, viral 2 of 3; the two errors are called normal.
TRUTH = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
PREDICTED = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 1])


def probabilities(sure=0.8):
    values = np.full((10, 3), (1 - sure) / 2)
    values[np.arange(10), PREDICTED] = sure
    return values


def description(name="cnn1", synthetic=0):
    return {
        "name": name,
        "classes": list(CLASSES),
        "image_side": 128,
        "side": 128,
        "initialisation": "random",
        "parameters": 208_403,
        "gflop_per_image": 0.078,
        "training": {"epochs": 30, "best_epoch": 25, "validation_loss": 0.2},
        "params": {"seed": 7},
        "data": {
            "images": 50,
            "synthetic_images": synthetic,
            "sha256": "d" * 64,
            "images_per_class": dict.fromkeys(CLASSES, 16),
            "images_per_split": {"test": 10, "train": 32, "validation": 8},
        },
        "environment": {"python": "3.11.7"},
        "network": {"sha256": "0123456789ab" + "0" * 52},
    }


def evaluation(name="cnn1", validation_log_loss=0.3, synthetic=0, folder=Path("models/cnn1")):
    model = SimpleNamespace(description=description(name, synthetic), classes=CLASSES, folder=folder)
    history = pd.DataFrame(
        {
            "epoch": [1, 2],
            "loss": [1.0, 0.5],
            "accuracy": [0.4, 0.8],
            "val_loss": [0.9, 0.6],
            "val_accuracy": [0.5, 0.7],
        }
    )
    metrics = measure(TRUTH, probabilities(), CLASSES)
    files = [f"{i}.png" for i in range(10)]
    return Evaluation(model, history, files, TRUTH, probabilities(), validation_log_loss, metrics)
