"""One temperature for all logits, fitted on validation (Guo 2017); it changes no prediction."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from cxr.evaluation.metrics import Labels

# It may make a network less sure, never surer than training left it: a few hundred images of validation can look easier
# than new ones are, and without an error among them they would ask for a temperature of zero.
COLDEST, HOTTEST = 1.0, 10.0


def fit_temperature(logits: NDArray[np.float32], truth: Labels) -> float:
    """Return the number between 1 and 10 that logits are to be divided by for the lowest log loss.

    Args:
        logits: float (n, classes).
        truth: int64 (n,).
    """
    # scipy and not scikit-learn's CalibratedClassifierCV(method="temperature"), which minimises the same loss: there
    # the fitted number is reached through attributes that are not documented, and its bounds cannot be set.
    values = logits.astype(np.float64)
    values -= values.max(axis=1, keepdims=True)
    own = values[np.arange(len(truth)), truth]

    def loss(log_temperature: float) -> float:
        inverse = np.exp(-log_temperature)
        return float(np.mean(np.log(np.exp(values * inverse).sum(axis=1)) - own * inverse))

    bounds = (np.log(COLDEST), np.log(HOTTEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    # The search stops beside a bound, never at it.
    return COLDEST if loss(found.x) >= loss(np.log(COLDEST)) else float(np.exp(found.x))
