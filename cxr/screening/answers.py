"""Answers of one network for many pictures: by name, never by position, and one bad picture costs one answer."""

from collections.abc import Collection, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cxr.decisions import Decision, Decisions, disagreeing
from cxr.errors import ModelError, Reason
from cxr.network import Screened, softmax
from cxr.planes import Plane
from cxr.screening.attempts import Failure, attempted
from cxr.screening.gating import Judge
from cxr.screening.rows import Answer


class Predictor(Protocol):
    """A network; `cxr.network.Network` in production."""

    def screen(self, planes: Plane) -> Screened:
        """Answer for uint8 planes of shape (pictures, side, side)."""


class Model(Protocol):
    """A network with its classes; `cxr.model_folder.ScreeningModel` in production."""

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the logits."""

    @property
    def plane_side(self) -> int:
        """Side in pixels of the planes that the network takes."""

    @property
    def network(self) -> Predictor:
        """The network."""

    @property
    def gate(self) -> Judge | None:
        """What judges pictures before the networks, where this model is the first; None: nothing does."""

    @property
    def decisions(self) -> Decisions | None:
        """What is applied to its outputs; None: softmax alone."""

    @property
    def operating_point(self) -> str:
        """Name of the one in force; empty without decisions."""


def answers_of(planes: Mapping[str, Plane], model: Model, unusual: Collection[str] = ()) -> dict[str, Answer | Failure]:
    """Answer for planes by name; where the network fails on several together, each is tried alone.

    Args:
        planes: uint8 (side, side) each.
        model: What answers.
        unusual: Names of those that the gate finds unlike the training images; decisions refer them.

    Returns:
        For each name the answer, or why there is none.

    Raises:
        ModelError: The network's output has another shape than pictures x classes.
    """

    def compute(some: Mapping[str, Plane]) -> list[Answer | Failure]:
        screened = model.network.screen(np.stack(list(some.values())))
        _check_shapes(screened, len(some), model)
        return _answers(screened, model, np.array([name in unusual for name in some]))

    return attempted(planes, compute)


def _check_shapes(screened: Screened, number: int, model: Model) -> None:
    shapes = [screened.logits.shape]
    if screened.members is not None:  # each member must have answered for each picture
        shapes.append((screened.members.shape[0], *screened.members.shape[2:]))
    for shape in shapes:
        if shape != (number, len(model.classes)):
            raise ModelError(
                f"the network gave an array of shape {shape} for {number} pictures and the classes "
                f"{', '.join(model.classes)}; take the whole model folder from one run"
            )


def _answers(screened: Screened, model: Model, unusual: NDArray[np.bool_]) -> list[Answer | Failure]:
    """Decide before anything is rounded, so that a probability just below a threshold stays below."""
    finite = np.asarray(np.isfinite(screened.logits).all(axis=1))
    decisions, sound = model.decisions, np.where(finite[:, np.newaxis], screened.logits, 0)
    probabilities = decisions.probabilities(sound) if decisions else softmax(sound)
    decided: list[Decision] | list[None] = [None] * len(sound)
    if decisions:
        apart = None if screened.members is None else disagreeing(screened.members)
        decided = decisions.decide(probabilities, model.operating_point, unusual=unusual, disagreeing=apart)
    largest = probabilities.argmax(axis=1).tolist()
    return [
        Answer(model.classes[number], tuple(row), decision)
        if is_finite
        else (Reason.NOT_FINITE, "the network's output is not a number, or infinite")
        for is_finite, number, row, decision in zip(finite, largest, probabilities.tolist(), decided, strict=True)
    ]
