"""Contents of decisions.json for a network with three classes, as `evaluate` writes them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.core.files import read_json, sha256_of, write_json
from cxr.inference.decisions import DECISIONS_FILE
from cxr.inference.network import DESCRIPTION_FILE
from tests.shipped import ungated

CLASSES = ("covid", "normal", "viral_pneumonia")
NETWORK = "01" * 32


def decisions_form(**changes: Any) -> dict[str, Any]:
    """A form with every member; `changes` replace some."""
    return {
        "decisions": 1,
        "network": NETWORK,
        "classes": list(CLASSES),
        "data": "ab" * 32,
        "validation_images": 588,
        "temperature": 1.0,
        "target": "covid",
        "operating_points": {
            "covid_sens95": {"threshold": 0.4, "aim": "sensitivity at least 0.95 on validation"},
            "covid_spec95": {"threshold": 0.8, "aim": "specificity at least 0.95 on validation"},
        },
        "default_operating_point": "covid_sens95",
        "conformal": {"alpha": 0.05, "minimum": {"covid": 0.25, "normal": 0.32, "viral_pneumonia": 0.3}},
        "reference": None,
        "training_pixels": [],
    } | changes


def reference_form(
    confidence: NDArray[np.float64],
    brightness: NDArray[np.float64],
    side: NDArray[np.float64],
    predictions: Sequence[int],
) -> dict[str, Any]:
    """What `evaluate` keeps of validation images with these values."""
    quantiles = [
        [round(float(value), 6) for value in np.quantile(values, np.linspace(0, 1, 101))]
        for values in (confidence, brightness, side)
    ]
    return {
        "images": len(confidence),
        "predictions": dict(zip(CLASSES, predictions, strict=True)),
        **dict(zip(("confidence", "brightness", "side"), quantiles, strict=True)),
    }


def with_decisions(folder: Path, **changes: Any) -> Path:
    """Copy the packaged network to `folder`, without gate and with decisions; `changes` replace their members."""
    return decide(ungated(folder), **changes)


def decide(folder: Path, **changes: Any) -> Path:
    """Write decisions for the network in `folder`; `changes` replace their members."""
    description = read_json(folder / DESCRIPTION_FILE)
    form = {"network": description["network"]["sha256"], "classes": description["classes"]} | changes
    write_json(folder / DECISIONS_FILE, decisions_form(**form))
    description["decisions"] = {"sha256": sha256_of(folder / DECISIONS_FILE)}
    write_json(folder / DESCRIPTION_FILE, description)
    return folder
