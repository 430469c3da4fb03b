"""Read a trained network with its history, and evaluate it."""

from pathlib import Path

import pandas as pd

from cxr.errors import ModelError
from cxr.evaluation.evaluating import Evaluation, evaluate_network
from cxr.model_folder import load_model
from cxr.planes import Plane

HISTORY_FILE = "history.csv"


def read_and_evaluate(folder: Path, table: pd.DataFrame, images: Plane) -> Evaluation:
    """Load the network in `folder` and evaluate it; arguments and errors as in `evaluate_network` and `load_model`."""
    model = load_model(folder)
    try:
        history = pd.read_csv(folder / HISTORY_FILE)
    except OSError as error:
        raise ModelError(f"{folder} has no {HISTORY_FILE} ({error.strerror}); train it again: dvc repro") from error
    return evaluate_network(model, table, images, history)
