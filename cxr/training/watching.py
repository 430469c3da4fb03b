"""How a caller looks on while a network is fitted: the loop says what it fits, and is given callbacks of Keras."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cxr.models.tf import keras
from cxr.planes import Plane

PhaseName = Literal["whole", "head", "fine_tune"]


@dataclass(frozen=True, slots=True)
class Fitting:
    """One call of the fit loop.

    Attributes:
        name: Of the network, as printed with the progress.
        phase: `whole` trains every weight, or the part of a transfer.
        first_epoch: Epochs run by earlier phases. Keras counts each phase from 0; add this.
        epochs: Passes of this phase at most.
        inputs: What the fitted model is asked on validation: uint8 (n, side, side, 1), or float32 (n, d) features.
        planes: The same images, uint8 (n, side, side).
        targets: float32 (n, classes), one in the column of the class, zero elsewhere.
        classes: Names of the columns, and of the fitted model's logits.
    """

    name: str
    phase: PhaseName
    first_epoch: int
    epochs: int
    inputs: NDArray[Any]
    planes: Plane
    targets: NDArray[np.float32]
    classes: tuple[str, ...]


Watch = Callable[[Fitting], Sequence[keras.callbacks.Callback]]


def nobody(fitting: Fitting) -> Sequence[keras.callbacks.Callback]:  # noqa: ARG001 - as every Watch
    """Look at nothing."""
    return ()
