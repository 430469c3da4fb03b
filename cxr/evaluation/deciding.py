"""Fit on validation what screening applies: temperature, operating points, prediction sets, reference for drift."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr.decisions import DECISIONS_FORM, PIXEL_DIGITS, parse_decisions
from cxr.errors import ParamsError
from cxr.evaluation.outputs import SavedOutputs
from cxr.evaluation.params import EvaluateParams
from cxr.evaluation.stats.fitting import fit_decisions
from cxr.files import JsonObject
from cxr.model_folder import ScreeningModel
from cxr.planes import Plane, pixels_digest
from cxr.reference import QUANTILES


def decide(
    model: ScreeningModel, outputs: SavedOutputs, table: pd.DataFrame, images: Plane, params: EvaluateParams
) -> JsonObject:
    """Return the content of decisions.json. Nothing of the test split is looked at.

    Args:
        model: The network.
        outputs: What it said.
        table: The split table, in the order of `outputs`.
        images: uint8 (n, side, side).
        params: Target of the operating points, and alpha.

    Raises:
        ParamsError: The target is no class.
        DataError: There is no validation split.
    """
    if params.target not in model.classes:
        raise ParamsError(
            f"params.yaml: evaluate.target is '{params.target}'; expected one of {', '.join(model.classes)}"
        )
    validation = outputs.of("validation")
    form = {
        "decisions": DECISIONS_FORM,
        "network": model.network_sha256,
        "classes": list(model.classes),
        "data": model.description["data"]["sha256"],
        "validation_images": len(validation),
        **fit_decisions(validation, params.target, params.alpha),
    }
    train = outputs.of("train").index
    pixels = sorted({pixels_digest(images[row])[:PIXEL_DIGITS] for row in train})
    fitted = parse_decisions(form | {"reference": None, "training_pixels": pixels})
    rows = table[table["split"] == "validation"]
    probabilities = fitted.probabilities(validation.logits)
    reference = _reference(probabilities, model.classes, images[validation.index], rows)
    return form | {"reference": reference, "training_pixels": pixels}


def _reference(
    probabilities: NDArray[np.float64], classes: tuple[str, ...], planes: Plane, rows: pd.DataFrame
) -> JsonObject:
    predicted = np.bincount(probabilities.argmax(axis=1), minlength=len(classes))
    return {
        "images": len(rows),
        "predictions": {name: int(count) for name, count in zip(classes, predicted, strict=True)},
        "confidence": _quantiles(probabilities.max(axis=1)),
        "brightness": _quantiles(planes.mean(axis=(1, 2)) / 255),
        "side": _quantiles(rows[["width", "height"]].max(axis=1).to_numpy(np.float64)),
    }


def _quantiles(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 6) for value in np.quantile(values, np.linspace(0, 1, QUANTILES))]
