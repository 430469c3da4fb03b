"""Test images to look at: the most confident errors, and a few plain examples."""

import numpy as np
from numpy.typing import NDArray

from cxr.evaluation.metrics import Probabilities
from cxr.evaluation.outputs import SavedOutputs
from cxr.files import JsonObject

ERRORS = 12
EXAMPLES = 2  # of each class


def confident_errors(test: SavedOutputs, probabilities: Probabilities) -> list[JsonObject]:
    """Return the wrong answers of largest loss, at most twelve, with file, actual, predicted, probability and loss."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != test.truth)
    loss = -np.log(np.maximum(probabilities[np.arange(len(test)), test.truth], 1e-12))
    order = wrong[np.lexsort((test.files[wrong], -loss[wrong]))][:ERRORS]
    return [_entry(test, probabilities, int(row)) | {"loss": round(float(loss[row]), 6)} for row in order]


def examples(test: SavedOutputs, probabilities: Probabilities) -> list[JsonObject]:
    """Return of each class the images of median probability of their own class: neither the best nor the worst."""
    chosen = [row for number in range(len(test.classes)) for row in _median_rows(test, probabilities, number)]
    return [_entry(test, probabilities, row) for row in chosen]


def _median_rows(test: SavedOutputs, probabilities: Probabilities, number: int) -> list[int]:
    rows = np.flatnonzero(test.truth == number)
    ordered: NDArray[np.int64] = rows[np.lexsort((test.files[rows], probabilities[rows, number]))]
    middle = len(ordered) // 2
    return [int(row) for row in ordered[middle : middle + EXAMPLES]]


def _entry(test: SavedOutputs, probabilities: Probabilities, row: int) -> JsonObject:
    predicted = int(probabilities[row].argmax())
    return {
        "file": str(test.files[row]),
        "actual": test.classes[test.truth[row]],
        "predicted": test.classes[predicted],
        "probability": round(float(probabilities[row, predicted]), 6),
    }
