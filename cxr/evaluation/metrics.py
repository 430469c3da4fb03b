"""Metrics of one network on one split, from true classes and probabilities alone."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, log_loss, roc_auc_score

from cxr.files import JsonObject

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float64]

DIGITS = 6


def measure(truth: Labels, probabilities: Probabilities, classes: tuple[str, ...]) -> JsonObject:
    """Measure a classification; the answer is the class with the largest probability, the first of equals.

    Args:
        truth: int64 (n,), numbers of classes; every class occurs.
        probabilities: float64 (n, classes), rows sum to one.
        classes: Names, in the order of the columns.

    Returns:
        Floats rounded to six decimals: accuracy, balanced_accuracy (mean sensitivity), macro_f1, macro_auc
        (mean of one-vs-rest), log_loss (natural logarithm), and sensitivity and specificity by class, one-vs-rest.
    """
    predicted = probabilities.argmax(axis=1)
    values = {
        "accuracy": float(np.mean(predicted == truth)),
        "balanced_accuracy": balanced_accuracy_score(truth, predicted),
        "macro_f1": f1_score(truth, predicted, average="macro"),
        "macro_auc": macro_auc(truth, probabilities),
        "log_loss": log_loss(truth, probabilities, labels=np.arange(len(classes))),
    }
    rates = class_rates(confusion(truth, predicted, len(classes)))
    return {name: round(float(value), DIGITS) for name, value in values.items()} | {
        rate: {name: round(float(value), DIGITS) for name, value in zip(classes, by_class, strict=True)}
        for rate, by_class in rates.items()
    }


def macro_auc(truth: Labels, probabilities: Probabilities) -> float:
    """Return the unweighted mean of the one-vs-rest areas under the ROC curve; also for two classes."""
    areas = [roc_auc_score(truth == number, probabilities[:, number]) for number in range(probabilities.shape[1])]
    return float(np.mean(areas))


def confusion(truth: Labels, predicted: Labels, classes: int) -> NDArray[np.int64]:
    """Return int64 (classes, classes): rows are true, columns are predicted classes."""
    return np.asarray(confusion_matrix(truth, predicted, labels=np.arange(classes)))


def class_rates(matrix: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return sensitivity and specificity of each class against the rest, float64 (classes,)."""
    true_positive = np.diag(matrix)
    positive, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    negative = matrix.sum() - positive
    return {
        "sensitivity": true_positive / positive,
        "specificity": (negative - (predicted - true_positive)) / negative,
    }
