"""Answers of one network for many pictures: by name, never by position, and one bad picture costs one answer."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cxr.decisions import Decisions
from cxr.errors import ModelError, Reason
from cxr.network import softmax
from cxr.planes import Plane
from cxr.screening.rows import Answer

MEMORY_WORDS = ("bad_alloc", "out of memory", "not enough memory", "cannot allocate", "failed to allocate")
Floats = NDArray[np.float32]
Failure = tuple[Reason, str]


class Predictor(Protocol):
    """A network; `cxr.network.Network` in production."""

    @property
    def batch(self) -> int:
        """How many planes it computes at once."""

    def halve_batch(self) -> bool:
        """Compute fewer at once, to need less memory; False where there is one already."""

    def logits(self, planes: Plane) -> Floats:
        """Answer with float32 (pictures, classes) for uint8 planes of shape (pictures, side, side)."""


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
    def decisions(self) -> Decisions | None:
        """What is applied to its outputs; None: softmax alone."""

    @property
    def operating_point(self) -> str:
        """Name of the one in force; empty without decisions."""


def answers_of(planes: Mapping[str, Plane], model: Model) -> dict[str, Answer | Failure]:
    """Answer for planes by name; where the network fails on several together, each is tried alone.

    Args:
        planes: uint8 (side, side) each.
        model: Where it lacks memory, its batch is halved and the planes are tried again.

    Returns:
        For each name the answer, or why there is none.

    Raises:
        ModelError: The network's output has another shape than pictures x classes.
    """
    if not planes:
        return {}
    try:
        logits = _logits(np.stack(list(planes.values())), model)
    except ModelError:
        raise
    except Exception as error:  # a runtime raises anything; only the picture that causes it may lose its answer
        text = str(error) or type(error).__name__
        if _is_memory(error) and model.network.halve_batch():
            return answers_of(planes, model)
        if len(planes) == 1:
            return dict.fromkeys(planes, (Reason.NETWORK, text))
        return {name: answer for one in planes.items() for name, answer in answers_of(dict([one]), model).items()}
    return dict(zip(planes, _answers(logits, model), strict=True))


def _logits(planes: Plane, model: Model) -> Floats:
    logits = model.network.logits(planes)
    if logits.shape != (len(planes), len(model.classes)):
        raise ModelError(
            f"the network gave an array of shape {logits.shape} for {len(planes)} pictures and the classes "
            f"{', '.join(model.classes)}; take the whole model folder from one run"
        )
    return logits


def _answers(logits: Floats, model: Model) -> list[Answer | Failure]:
    """Decide before anything is rounded, so that a probability just below a threshold stays below."""
    finite = np.asarray(np.isfinite(logits).all(axis=1))
    decisions, sound = model.decisions, np.where(finite[:, np.newaxis], logits, 0)
    probabilities = decisions.probabilities(sound) if decisions else softmax(sound)
    decided = decisions.decide(probabilities, model.operating_point) if decisions else [None] * len(logits)
    largest = probabilities.argmax(axis=1).tolist()
    return [
        Answer(model.classes[number], tuple(row), decision)
        if is_finite
        else (Reason.NOT_FINITE, "the network's output is not a number, or infinite")
        for is_finite, number, row, decision in zip(finite, largest, probabilities.tolist(), decided, strict=True)
    ]


def _is_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in MEMORY_WORDS)
