"""The CSV files that DVC plots: long tables, one row per model and point."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from cxr.evaluation.candidates import Candidate
from cxr.files import JsonObject


def predictions_table(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """Return one row per model and test image: model, file, actual, predicted, probability_<class> (calibrated)."""
    return pd.concat([_answers(candidate) for candidate in candidates], ignore_index=True)


def learning_curves_table(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """Return one row per model and epoch, with the columns of history.csv after `model`."""
    return pd.concat([c.history.assign(model=c.name)[["model", *c.history.columns]] for c in candidates])


def roc_table(models: Sequence[JsonObject]) -> pd.DataFrame:
    """Return one row per model, class and point of the ROC curve: model, class, fpr, tpr."""
    rows = [
        {"model": model["name"], "class": curve["class"], "fpr": fpr, "tpr": tpr}
        for model in models
        for curve in model["roc"]
        for fpr, tpr in zip(curve["fpr"], curve["tpr"], strict=True)
    ]
    return pd.DataFrame(rows, columns=["model", "class", "fpr", "tpr"])


def reliability_table(models: Sequence[JsonObject]) -> pd.DataFrame:
    """Return one row per model and bin: model, confidence, accuracy, low, high, n."""
    return _per_model(models, lambda model: model["calibration"]["reliability"])


def risk_coverage_table(models: Sequence[JsonObject]) -> pd.DataFrame:
    """Return one row per model and point: model, coverage, risk."""
    return _per_model(models, lambda model: model["selective"]["curve"])


def _per_model(models: Sequence[JsonObject], points: Callable[[JsonObject], list[JsonObject]]) -> pd.DataFrame:
    return pd.DataFrame([{"model": model["name"]} | point for model in models for point in points(model)])


def _answers(candidate: Candidate) -> pd.DataFrame:
    test, calibrated = candidate.test, candidate.probabilities
    classes = np.array(candidate.model.classes)
    probabilities = {
        f"probability_{label}": calibrated[:, column].round(6) for column, label in enumerate(candidate.model.classes)
    }
    return pd.DataFrame(
        {
            "model": candidate.name,
            "file": test.files,
            "actual": classes[test.truth],
            "predicted": classes[calibrated.argmax(axis=1)],
            **probabilities,
        }
    )
