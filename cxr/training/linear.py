"""A last layer by logistic regression: on features that stay as they are it needs neither epochs nor a seed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from cxr.core.errors import DataError

ITERATIONS = 500


def logistic_regression(
    features: NDArray[np.floating],
    labels: Sequence[str],
    classes: Sequence[str],
    strength: float,
    weights: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit logits that are linear in the features, with a penalty on squared weights.

    Args:
        features: (n, d), columns of about variance one: the penalty treats all alike.
        labels: Class of each row.
        classes: In the order of the logits.
        strength: Inverse of the penalty, as scikit-learn's C.
        weights: (n,), of each row in the loss.

    Returns:
        Kernel (d, classes) and bias (classes,), not yet rounded to float32.

    Raises:
        DataError: A class has no row.
    """
    lacking = sorted(set(classes) - set(labels))
    if lacking:
        raise DataError(
            f"the class {lacking[0]} has no film that the last layer could learn from; run: dvc repro split"
        )
    numbers = {label: number for number, label in enumerate(classes)}
    model = LogisticRegression(C=strength, max_iter=ITERATIONS)
    model.fit(features, [numbers[label] for label in labels], sample_weight=weights)
    kernel, bias = model.coef_, model.intercept_
    if len(kernel) == 1:  # of two classes scikit-learn keeps the difference
        kernel, bias = (np.concatenate([-each, each]) / 2 for each in (kernel, bias))
    return kernel.T, bias
