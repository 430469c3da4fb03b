"""What a network answers to altered pictures, and how often it is right."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.evaluation.metrics import Labels
from cxr.evaluation.stats import weighted
from cxr.evaluation.stats.intervals import percentile
from cxr.files import JsonObject
from cxr.planes import Plane

Predict = Callable[[Plane], NDArray[np.float32]]  # uint8 (n, side, side) to logits float32 (n, classes)
ByVariant = Mapping[str, Labels]  # class numbers (n,) by the name of what was done to the pictures
Masks = NDArray[np.bool_]  # (n, side, side), True in the lungs; no True at all where an image has no mask


@dataclass(frozen=True, slots=True)
class Score:
    """A balanced accuracy with its bootstrap draws; the difference of two is paired if the weights were the same.

    Attributes:
        value: 0 to 1.
        draws: float64 (draws,).
    """

    value: float
    draws: NDArray[np.float64]

    def __sub__(self, other: "Score") -> "Score":
        return Score(self.value - other.value, self.draws - other.draws)

    @property
    def interval(self) -> JsonObject:
        """Value with its 95 % percentile interval."""
        return percentile(self.value, self.draws)


def score(truth: Labels, predicted: Labels, weights: NDArray[np.float64]) -> Score:
    """Return the balanced accuracy of answers int64 (n,) with draws by `weights` (draws, n), see `draw_weights`."""
    return Score(balanced_accuracy(truth, predicted), weighted.balanced_accuracy(truth, predicted == truth, weights))


def balanced_accuracy(truth: Labels, predicted: Labels) -> float:
    """Return the mean recall over the classes that occur in `truth`, both int64 (n,)."""
    return float(weighted.balanced_accuracy(truth, predicted == truth, np.ones((1, len(truth))))[0])
