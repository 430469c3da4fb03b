"""Both models on the same images: the test split of the new model's run, less what the old one was trained on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxr.decisions import PIXEL_DIGITS
from cxr.errors import DataError, ModelError
from cxr.evaluation.outputs import SavedOutputs, run_network
from cxr.evaluation.stats.answers import Answers
from cxr.model_folder import ScreeningModel
from cxr.network import softmax
from cxr.planes import Plane, pixels_digest

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Pair:
    """Answers of two models on the same n images, in one order.

    Attributes:
        new: Of the model that wants to ship.
        old: Of the model that ships.
        known_to_old: Number of test images that the old model was trained on; they are not among the n.
        old_may_know: Whether nobody can tell: the old model does not say what it was trained on.
    """

    new: Answers
    old: Answers
    known_to_old: int
    old_may_know: bool


def require_alike(new: ScreeningModel, old: ScreeningModel, images: Plane) -> None:
    """Refuse models that cannot answer the same planes.

    Raises:
        ModelError: They differ in their classes, or one takes planes of another side than the run has.
    """
    if new.classes != old.classes:
        raise ModelError(
            f"{new.folder} answers {', '.join(new.classes)}, {old.folder} {', '.join(old.classes)}; only models with "
            "the same classes in the same order can be compared"
        )
    for model in (new, old):
        if model.plane_side != images.shape[1]:
            raise ModelError(
                f"{model.folder} takes planes of {model.plane_side} pixels, the run has {images.shape[1]}; compare "
                "on a run that was prepared with that image.side"
            )


def pair(new: ScreeningModel, old: ScreeningModel, table: "pd.DataFrame", images: Plane) -> Pair:
    """Run both models over the test split.

    Args:
        new: Was not trained on that split.
        old: Any model of the same classes and planes.
        table: Split table of the new model's run.
        images: uint8 (n, side, side), see its column `index`.

    Raises:
        DataError: The old model was trained on all test images of a class.
        ModelError: The models cannot be compared.
    """
    require_alike(new, old, images)
    test = table[table["split"] == "test"]
    known = _known(old, images[test["index"].to_numpy(np.int64)])
    test = test[~known]
    lacking = [label for label in new.classes if label not in set(test["label"])]
    if lacking:
        raise DataError(
            f"the test split has no image of {lacking[0]} that {old.folder} was not trained on "
            f"({int(known.sum()):,} were left out); compare on a run with other images, or another seed"
        )
    first, second = (answers_of(model, run_network(model, test, images)) for model in (new, old))
    return Pair(first, second, int(known.sum()), old.decisions is None)


def answers_of(model: ScreeningModel, outputs: SavedOutputs) -> Answers:
    """Return a model's answers, calibrated as it screens."""
    logits = outputs.logits
    probabilities = model.decisions.probabilities(logits) if model.decisions else softmax(logits)
    return Answers(outputs.classes, outputs.truth, probabilities, outputs.group)


def _known(model: ScreeningModel, planes: Plane) -> NDArray[np.bool_]:
    """Tell which planes a model was trained on, bool (n,); none where it does not say."""
    trained = model.decisions.training_pixels if model.decisions else frozenset[str]()
    return np.array([pixels_digest(plane)[:PIXEL_DIGITS] in trained for plane in planes], np.bool_)
