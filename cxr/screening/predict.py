"""Screen files: threads decode ahead, the gate judges, networks answer in batches, each answer stays with its file."""

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import ModelError, Reason
from cxr.core.files import JsonObject
from cxr.core.image import ImageFacts, Plane, pixels_digest
from cxr.inference.decisions import PIXEL_DIGITS, Decision, Decisions, disagreeing
from cxr.inference.gate import Flag, Judge, Sign, exposure_of, ruled_out
from cxr.inference.network import BATCH, NetworkOutputs, softmax
from cxr.screening.candidates import Candidate
from cxr.screening.read import Reading, prefetch, read
from cxr.screening.schema import Prediction, Row, Schema, flags_of
from cxr.screening.storage import FileVersion, Root, store_of

MEMORY_WORDS = ("bad_alloc", "out of memory", "not enough memory", "cannot allocate", "failed to allocate")
Failure = tuple[Reason, str]
Result = TypeVar("Result")


def predict_with_fallback(
    planes: Mapping[str, Plane],
    compute: Callable[[Mapping[str, Plane]], Sequence[Result]],
) -> dict[str, Result | Failure]:
    """Compute for planes by name; where that fails on several together, each is tried alone.

    Args:
        planes: uint8 (side, side) each.
        compute: Gives a result for each plane, in their order.

    Returns:
        For each name the result, or why there is none.

    Raises:
        ModelError: As `compute` does: the network is not what its description says.
    """
    if not planes:
        return {}
    try:
        results = compute(planes)
    except ModelError:
        raise
    except Exception as error:  # a runtime raises anything; only the picture that causes it may lose its result
        text = str(error) or type(error).__name__
        if len(planes) == 1:
            return dict.fromkeys(planes, (Reason.MEMORY if _is_memory(error) else Reason.NETWORK, text))
        alone = (predict_with_fallback(dict([one]), compute) for one in planes.items())
        return {name: result for one in alone for name, result in one.items()}
    return dict(zip(planes, results, strict=True))


def _is_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in MEMORY_WORDS)


class Predictor(Protocol):
    """A network; `cxr.inference.network.Network` in production."""

    def screen(self, planes: Plane) -> NetworkOutputs:
        """Answer for uint8 planes of shape (pictures, side, side)."""


class Model(Protocol):
    """A network with its classes; `cxr.inference.model_folder.ScreeningModel` in production."""

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


def predictions_of(
    planes: Mapping[str, Plane], model: Model, unusual: Collection[str] = ()
) -> dict[str, Prediction | Failure]:
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

    def compute(some: Mapping[str, Plane]) -> list[Prediction | Failure]:
        screened = model.network.screen(np.stack(list(some.values())))
        _check_shapes(screened, len(some), model)
        return _predictions(screened, model, np.array([name in unusual for name in some]))

    return predict_with_fallback(planes, compute)


def _check_shapes(screened: NetworkOutputs, number: int, model: Model) -> None:
    shapes = [screened.logits.shape]
    if screened.members is not None:  # each member must have answered for each picture
        shapes.append((screened.members.shape[0], *screened.members.shape[2:]))
    for shape in shapes:
        if shape != (number, len(model.classes)):
            raise ModelError(
                f"the network gave an array of shape {shape} for {number} pictures and the classes "
                f"{', '.join(model.classes)}; take the whole model folder from one run"
            )


def _predictions(screened: NetworkOutputs, model: Model, unusual: NDArray[np.bool_]) -> list[Prediction | Failure]:
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
        Prediction(model.classes[number], tuple(row), decision)
        if is_finite
        else (Reason.NOT_FINITE, "the network's output is not a number, or infinite")
        for is_finite, number, row, decision in zip(finite, largest, probabilities.tolist(), decided, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says of one picture.

    Attributes:
        reason: Why no network shall answer; None where they shall.
        detail: The number and the limit behind `reason`, for people.
        flags: What it saw.
    """

    reason: Reason | None = None
    detail: str = ""
    flags: frozenset[Flag] = frozenset()


def verdicts_of(readings: Mapping[str, Reading], gate: Judge, side: int) -> dict[str, Verdict]:
    """Judge decoded files by name: by rules first, and those that pass by the gate's network.

    Args:
        readings: Each has facts and planes of `side` and of the gate's own side.
        gate: Where it fails on a picture, that one alone has no answer.
        side: Of the planes that the limits are about: those of the column `brightness`.

    Raises:
        ModelError: The gate's output has another shape than pictures x signs.
    """
    flags = {name: exposure_of(reading.planes[side], gate.limits) for name, reading in readings.items()}
    ruled = {name: ruled_out(_facts(reading), reading.planes[side], gate.limits) for name, reading in readings.items()}
    left = {name: readings[name].planes[gate.plane_side] for name, failure in ruled.items() if failure is None}

    def compute(some: Mapping[str, Plane]) -> list[NDArray[np.float64]]:
        scores = gate.scores(np.stack(list(some.values())))
        if scores.shape != (len(some), len(Sign)):
            raise ModelError(
                f"the gate gave an array of shape {scores.shape} for {len(some)} pictures and {len(Sign)} signs; take "
                f"the whole model folder from one run"
            )
        return list(scores)

    seen = predict_with_fallback(left, compute)
    return {
        name: Verdict(*failure, flags[name]) if failure else _seen(seen[name], gate.thresholds, flags[name])
        for name, failure in ruled.items()
    }


def _facts(reading: Reading) -> ImageFacts:
    assert reading.facts is not None, "only decoded files are judged"
    return reading.facts


def _seen(scores: NDArray[np.float64] | Failure, thresholds: Mapping[Sign, float], flags: frozenset[Flag]) -> Verdict:
    if isinstance(scores, tuple):
        return Verdict(scores[0], f"the gate failed: {scores[1]}", flags)
    if not np.isfinite(scores).all():
        return Verdict(Reason.NOT_FINITE, "the gate's output is not a number, or infinite", flags)
    signs = {sign: float(score) for sign, score in zip(Sign, scores, strict=True) if score >= thresholds[sign]}
    if Sign.NOT_A_RADIOGRAPH in signs:
        return Verdict(
            Reason.NOT_A_RADIOGRAPH,
            f"the gate scores it {signs[Sign.NOT_A_RADIOGRAPH]:.3f} as no chest radiograph; rejected from "
            f"{thresholds[Sign.NOT_A_RADIOGRAPH]:g} on",
            flags,
        )
    return Verdict(flags=flags | {Flag(sign.value) for sign in signs})


BATCHES_AHEAD = 4  # bounds memory: this many batches of planes are decoded or being decoded


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a candidate: `row` is None for a file that is no image."""

    candidate: Candidate
    stamp: FileVersion
    row: Row | None


def screen(
    candidates: Iterable[Candidate],
    root: Root,
    models: Sequence[Model],
    workers: int = 0,
    keywords: Sequence[str] = (),
    batch: int = BATCH,
) -> Generator[list[Outcome], None, None]:
    """Give what became of each candidate, in their order, a batch at a time.

    Args:
        candidates: Their relative paths start from `root`.
        root: An absolute folder, or a store elsewhere.
        models: At least one; each file is read once for all of them. Where the first has a gate, it judges for all.
        workers: Reading threads; 0 is as many as suit the root, IN_TURN none: files are read between the batches.
        keywords: DICOM attributes to read.
        batch: Files that are taken together, at least 1; no answer depends on it.

    Raises:
        DataError: The connection to the root is lost.
        ModelError: A network's answer has another shape than pictures x classes.
    """
    gate = models[0].gate
    sides = [model.plane_side for model in models] + ([gate.plane_side] if gate else [])
    decode = partial(read, root=root, sides=sides, keywords=keywords)
    store = store_of(root)
    workers = workers or store.workers
    readings = prefetch(decode, candidates, workers, max(BATCHES_AHEAD * max(batch, BATCH), workers), store.stop)
    try:
        while some := list(islice(readings, batch)):
            yield _outcomes(some, models)
    finally:
        readings.close()


def record_of(outcome: Outcome, schema: Schema) -> JsonObject:
    """Return what is kept of a file."""
    record: JsonObject = {"path": outcome.candidate.cell, "stamp": outcome.stamp}
    return record if outcome.row is None else record | {"cells": schema.cells(outcome.row)[1:]}


def _outcomes(readings: Sequence[Reading], models: Sequence[Model]) -> list[Outcome]:
    """Return the outcomes of `readings`, in their order; answers are found by name, never by position."""
    decoded = {reading.candidate.cell: reading for reading in readings if reading.planes}
    verdicts = _verdicts(decoded, models[0])
    passed = [(name, reading) for name, reading in decoded.items() if verdicts[name].reason is None]
    unusual = {name for name, verdict in verdicts.items() if Flag.OUT_OF_DISTRIBUTION in verdict.flags}
    answers = [predictions_of({name: r.planes[m.plane_side] for name, r in passed}, m, unusual) for m in models]
    rows = {
        name: _row(reading, verdicts[name], [of[name] for of in answers if name in of], models)
        for name, reading in decoded.items()
    }
    return [
        Outcome(reading.candidate, reading.stamp, rows.get(reading.candidate.cell) or _unread(reading))
        for reading in readings
    ]


def _verdicts(decoded: Mapping[str, Reading], first: Model) -> Mapping[str, Verdict]:
    """Return what the gate says of each; without one, what may be said without."""
    if first.gate:
        return verdicts_of(decoded, first.gate, first.plane_side)
    planes = {name: reading.planes[first.plane_side] for name, reading in decoded.items()}
    return {
        name: Verdict(flags=frozenset({Flag.FLAT} if plane.min() == plane.max() else ()))
        for name, plane in planes.items()
    }


def _row(reading: Reading, verdict: Verdict, answers: Sequence[Prediction | Failure], models: Sequence[Model]) -> Row:
    """Return the row of a decoded file; `answers` is empty where the gate gives a reason."""
    facts, side = reading.facts, models[0].plane_side
    assert facts is not None
    failures = [answer for answer in answers if not isinstance(answer, Prediction)]
    reason, detail = failures[0] if failures else (verdict.reason, verdict.detail)
    plane = reading.planes[side]
    return Row(
        path=reading.candidate.cell,
        reason=reason,
        detail=detail,
        answers=tuple(_recognised(*one, reading) for one in zip(answers, models if answers else (), strict=True)),
        flags=flags_of(facts, side, verdict.flags),
        format=facts.format,
        facts=facts,
        brightness=float(plane.mean()) / 255,
        sha256=reading.sha256,
        attributes=reading.attributes,
    )


def _recognised(answer: Prediction | Failure, model: Model, reading: Reading) -> Prediction | None:
    """Return the answer, if it is one, with whether the network was trained on this very picture."""
    if not isinstance(answer, Prediction):
        return None
    known = model.decisions.training_pixels if model.decisions else None
    if not known:
        return answer
    return replace(answer, in_training_set=pixels_digest(reading.planes[model.plane_side])[:PIXEL_DIGITS] in known)


def _unread(reading: Reading) -> Row | None:
    """Return the row of a file that was not decoded; None for one that is no image."""
    if not reading.is_image:
        return None
    error = reading.error
    assert error is not None
    return Row(reading.candidate.cell, error.reason, error.detail, format=reading.format, sha256=reading.sha256)
