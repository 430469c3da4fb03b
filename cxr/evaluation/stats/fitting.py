"""What is fitted on validation, and on nothing else."""

from cxr.errors import DataError
from cxr.evaluation.outputs import SavedOutputs
from cxr.evaluation.stats.conformal import smallest_members
from cxr.evaluation.stats.operating_points import choose_points
from cxr.evaluation.stats.temperature import fit_temperature
from cxr.files import JsonObject
from cxr.network import softmax


def fit_decisions(validation: SavedOutputs, target: str, alpha: float) -> JsonObject:
    """Fit temperature, operating points and prediction sets.

    Args:
        validation: A network's outputs on the validation split.
        target: Class of the operating points.
        alpha: Share of a class that its prediction sets may lack.

    Returns:
        The members temperature, target, operating_points, default_operating_point and conformal of decisions.json,
        not rounded.

    Raises:
        DataError: Validation has no images of the target class, or no others.
    """
    positive = validation.truth == validation.classes.index(target)
    if positive.all() or not positive.any():
        raise DataError(
            f"the validation split has {positive.sum()} of {len(positive)} images of the class {target}; an operating "
            f"point needs images of it and of others: set split.validation higher or prepare more images"
        )
    temperature = fit_temperature(validation.logits, validation.truth)
    probabilities = softmax(validation.logits.astype(float) / temperature)
    minima = smallest_members(validation.truth, probabilities, alpha)
    return {
        "temperature": temperature,
        "target": target,
        "operating_points": choose_points(positive, probabilities[:, validation.classes.index(target)], target),
        "default_operating_point": f"{target}_sens95",
        "conformal": {"alpha": alpha, "minimum": dict(zip(validation.classes, minima, strict=True))},
    }
