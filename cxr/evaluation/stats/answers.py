"""What is measured: true classes, probabilities, and which images belong together."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cxr.evaluation.metrics import Labels, Probabilities

SMALLEST = 1e-15  # of a probability in a logarithm: one impossible answer must not make every figure infinite


@dataclass(frozen=True)
class Answers:
    """One network's answers for n images.

    Attributes:
        classes: Names, in the order of the columns.
        truth: int64 (n,), class numbers.
        probabilities: float64 (n, classes), rows sum to one.
        group: int64 (n,), equal for images of one patient or one picture; any numbers.
    """

    classes: tuple[str, ...]
    truth: Labels
    probabilities: Probabilities
    group: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.truth)

    @cached_property
    def predicted(self) -> Labels:
        """The class with the largest probability, the first of equals, int64 (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Where the prediction is the truth, bool (n,)."""
        return np.asarray(self.predicted == self.truth)

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """The largest probability, float64 (n,)."""
        return np.asarray(self.probabilities.max(axis=1))

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        """Minus the natural logarithm of the probability of the truth, float64 (n,)."""
        return -np.log(np.clip(self.probabilities[np.arange(len(self)), self.truth], SMALLEST, 1))

    @cached_property
    def squares(self) -> NDArray[np.float64]:
        """Squared distance to the truth, 0 to 2 (Brier 1950, for several classes), float64 (n,)."""
        return np.asarray(((self.probabilities - np.eye(len(self.classes))[self.truth]) ** 2).sum(axis=1))
