"""The CSV files that DVC plots: one long table of answers, one of epochs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cxr.evaluation.evaluating import Evaluation


def predictions_table(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """Return one row per model and test image: model, file, actual, predicted, probability_<class> (six decimals)."""
    return pd.concat([_answers(evaluation) for evaluation in evaluations], ignore_index=True)


def learning_curves_table(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """Return one row per model and epoch, with the columns of history.csv after `model`."""
    return pd.concat([e.history.assign(model=e.name)[["model", *e.history.columns]] for e in evaluations])


def _answers(evaluation: Evaluation) -> pd.DataFrame:
    classes = np.array(evaluation.model.classes)
    probabilities = {
        f"probability_{label}": evaluation.probabilities[:, column].round(6) for column, label in enumerate(classes)
    }
    return pd.DataFrame(
        {
            "model": evaluation.name,
            "file": evaluation.files,
            "actual": classes[evaluation.truth],
            "predicted": classes[evaluation.probabilities.argmax(axis=1)],
            **probabilities,
        }
    )
