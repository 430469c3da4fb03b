"""The CSV files that DVC plots: long tables, one row per model and point."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from cxr.evaluation.candidates import Candidate
from cxr.evaluation.gating import FLAGS
from cxr.files import JsonObject


def predictions_table(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """Return one row per model and test image.

    model, file, actual, predicted, probability_<class> (calibrated), all from the network alone; then as cxr-batch
    writes them prediction_set, decision, refer_reason (all empty where the gate rejects), reason (why it does) and
    flags (what the gate saw).
    """
    return pd.concat([_answers(candidate) for candidate in candidates], ignore_index=True)


def learning_curves_table(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """Return one row per trained model and epoch, with the columns of history.csv after `model`."""
    trained = [(c.name, c.history) for c in candidates if c.history is not None]
    return pd.concat([history.assign(model=name)[["model", *history.columns]] for name, history in trained])


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
            **_decided(candidate),
        }
    )


def _decided(candidate: Candidate) -> dict[str, list[str]]:
    decided, judged = candidate.test_decided, candidate.test_judged
    return {
        "prediction_set": [" ".join(one.classes) or "empty" if one else "" for one in decided],
        "decision": [one.word if one else "" for one in decided],
        "refer_reason": [str(one.reason or "") if one else "" for one in decided],
        "reason": judged.reasons.tolist(),
        "flags": [" ".join(flag for flag, is_seen in zip(FLAGS, row, strict=True) if is_seen) for row in judged.flags],
    }
