"""Run an exported network over the validation and test splits, once, and measure what it says."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from cxr.errors import DataError, ModelError
from cxr.evaluation.metrics import Labels, Probabilities, confusion, measure
from cxr.files import JsonObject
from cxr.model_folder import ScreeningModel
from cxr.network import softmax
from cxr.planes import Plane


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One network's answers on the test split.

    Attributes:
        model: The network that was run.
        history: Its epochs, with the columns epoch, loss, accuracy, val_loss, val_accuracy.
        files: Paths of the test images, relative to data/.
        truth: int64 (n,), class numbers.
        probabilities: float64 (n, classes).
        validation_log_loss: Of the same network on the validation split; decides which one screens.
        metrics: What `cxr.evaluation.metrics.measure` says of the test split.
    """

    model: ScreeningModel
    history: pd.DataFrame
    files: list[str]
    truth: Labels
    probabilities: Probabilities
    validation_log_loss: float
    metrics: JsonObject

    @property
    def name(self) -> str:
        """The network's name."""
        return str(self.model.description["name"])

    @property
    def matrix(self) -> NDArray[np.int64]:
        """Confusion matrix, rows are true classes."""
        return confusion(self.truth, self.probabilities.argmax(axis=1), len(self.model.classes))

    def flat_metrics(self) -> JsonObject:
        """What reports/metrics/<model>.json holds."""
        return self.metrics | {
            "validation_log_loss": self.validation_log_loss,
            "test_images": len(self.truth),
            "initialisation": self.model.description["initialisation"],
        }


def evaluate_network(model: ScreeningModel, table: pd.DataFrame, images: Plane, history: pd.DataFrame) -> Evaluation:
    """Evaluate one network.

    Args:
        model: Loaded from its folder.
        table: The split table that it was trained on.
        images: uint8 (n, side, side).
        history: Its epochs.

    Raises:
        ModelError: The network was made for planes of another side.
        DataError: A split is empty.
    """
    if images.shape[1] != model.plane_side:
        raise ModelError(
            f"{model.folder} takes planes of {model.plane_side} pixels, work/prepared has {images.shape[1]}; "
            f"run: dvc repro"
        )
    _, validation_truth, validation = answers(model, table, images, "validation")
    files, truth, probabilities = answers(model, table, images, "test")
    loss = log_loss(validation_truth, validation, labels=np.arange(len(model.classes)))
    metrics = measure(truth, probabilities, model.classes)
    return Evaluation(model, history, files, truth, probabilities, round(float(loss), 6), metrics)


def answers(
    model: ScreeningModel, table: pd.DataFrame, images: Plane, split: str
) -> tuple[list[str], Labels, Probabilities]:
    """Return files, class numbers int64 (n,) and probabilities float64 (n, classes) of one split, in table order."""
    rows = table[table["split"] == split]
    if rows.empty:
        raise DataError(f"the split table has no rows for {split}; run: dvc repro split")
    numbers = {label: number for number, label in enumerate(model.classes)}
    truth: Labels = np.array([numbers[label] for label in rows["label"]], np.int64)
    planes = np.ascontiguousarray(images[rows["index"].to_numpy()])
    return rows["file"].tolist(), truth, softmax(model.network.logits(planes))
