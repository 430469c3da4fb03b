"""Screen files: threads decode ahead, the gate judges, networks answer in batches, each answer stays with its file."""

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np

from cxr.core.errors import ModelError, Reason
from cxr.core.image import ImageFacts, Plane, pixels_digest
from cxr.inference.decisions import PIXEL_DIGITS, Decision
from cxr.inference.gate import Verdict, judge
from cxr.inference.model_folder import ScreeningModel
from cxr.inference.network import BATCH, Failure, NetworkOutputs, predict_with_fallback, softmax
from cxr.screening.candidates import Candidate
from cxr.screening.journal import JournalRecord
from cxr.screening.read import AS_USUAL, Reading, ReadOptions, prefetch, read
from cxr.screening.schema import Prediction, Row, Schema
from cxr.screening.storage import FileVersion, Root, store_of


def predictions_of(
    planes: Mapping[str, Plane], model: ScreeningModel, flags: Mapping[str, Collection[str]] | None = None
) -> dict[str, Prediction | Failure]:
    """Answer for planes by name; where the network fails on several together, each is tried alone.

    Args:
        planes: uint8 (side, side) each.
        model: What answers.
        flags: By name, what is known of the pictures; decisions refer some of it. None: nothing is.

    Returns:
        For each name the answer, or why there is none.

    Raises:
        ModelError: The network's output has another shape than pictures x classes.
    """

    def compute(some: Mapping[str, Plane]) -> list[Prediction | Failure]:
        outputs = model.network.screen(np.stack(list(some.values())))
        _check_shapes(outputs, len(some), model)
        return _predictions(outputs, model, [flags.get(name, ()) if flags else () for name in some])

    return predict_with_fallback(planes, compute)


def _check_shapes(screened: NetworkOutputs, number: int, model: ScreeningModel) -> None:
    shapes = [screened.logits.shape]
    if screened.members is not None:  # each member must have answered for each picture
        shapes.append((screened.members.shape[0], *screened.members.shape[2:]))
    for shape in shapes:
        if shape != (number, len(model.classes)):
            raise ModelError(
                f"the network gave an array of shape {shape} for {number} pictures and the classes "
                f"{', '.join(model.classes)}; take the whole model folder from one run"
            )


def _predictions(
    screened: NetworkOutputs, model: ScreeningModel, flags: Sequence[Collection[str]]
) -> list[Prediction | Failure]:
    """Decide before anything is rounded, so that a probability just below a threshold stays below."""
    finite = np.asarray(np.isfinite(screened.logits).all(axis=1))
    decisions, sound = model.decisions, np.where(finite[:, np.newaxis], screened.logits, 0)
    probabilities = decisions.probabilities(sound) if decisions else softmax(sound)
    decided: list[Decision] | list[None] = [None] * len(sound)
    if decisions:
        apart = decisions.disagreeing(screened.members)
        decided = decisions.decide(probabilities, model.operating_point, flags=flags, disagreeing=apart)
    largest = probabilities.argmax(axis=1).tolist()
    return [
        Prediction(model.classes[number], tuple(row), decision)
        if is_finite
        else (Reason.NOT_FINITE, "the network's output is not a number, or infinite")
        for is_finite, number, row, decision in zip(finite, largest, probabilities.tolist(), decided, strict=True)
    ]


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
    models: Sequence[ScreeningModel],
    workers: int = 0,
    options: ReadOptions = AS_USUAL,
    batch: int = BATCH,
) -> Generator[list[Outcome], None, None]:
    """Give what became of each candidate, in their order, a batch at a time.

    Args:
        candidates: Their relative paths start from `root`.
        root: An absolute folder, or a store elsewhere.
        models: At least one; each file is read once for all of them. Where the first has a gate, it judges for all.
        workers: Reading threads; 0 is as many as suit the root, IN_TURN none: files are read between the batches.
        options: How they are read.
        batch: Files that are taken together, at least 1; no answer depends on it.

    Raises:
        DataError: The connection to the root is lost.
        ModelError: A network's answer has another shape than pictures x classes.
    """
    sides = [side for model in models for side in model.sides]
    decode = partial(read, root=root, sides=sides, options=options)
    store = store_of(root)
    workers = workers or store.workers
    readings = prefetch(decode, candidates, workers, max(BATCHES_AHEAD * max(batch, BATCH), workers), store.stop)
    try:
        while some := list(islice(readings, batch)):
            yield outcomes_of(some, models)
    finally:
        readings.close()


def record_of(outcome: Outcome, schema: Schema) -> JournalRecord:
    """Return what is kept of a file."""
    cells = None if outcome.row is None else tuple(schema.cells(outcome.row)[1:])
    return JournalRecord(outcome.candidate.cell, outcome.stamp, cells)


def outcomes_of(readings: Sequence[Reading], models: Sequence[ScreeningModel]) -> list[Outcome]:
    """Return the outcomes of `readings`, in their order; answers are found by name, never by position.

    Args:
        readings: Each with a cell of its own, and planes of the sides that the networks take, or why it has none.
        models: As in `screen`.

    Raises:
        ModelError: As `screen`.
    """
    decoded = {reading.candidate.cell: reading for reading in readings if reading.planes}
    side = models[0].sides[-1]  # of its gate, where it has one
    pictures = {name: (_facts(reading), reading.planes[side]) for name, reading in decoded.items()}
    verdicts = judge(pictures, models[0].gate)
    passed = [(name, reading) for name, reading in decoded.items() if verdicts[name].reason is None]
    flags = {name: verdict.flags for name, verdict in verdicts.items()}
    answers = [predictions_of({name: r.planes[m.plane_side] for name, r in passed}, m, flags) for m in models]
    rows = {
        name: _row(reading, verdicts[name], [of[name] for of in answers if name in of], models)
        for name, reading in decoded.items()
    }
    return [
        Outcome(reading.candidate, reading.stamp, rows.get(reading.candidate.cell) or _unread(reading))
        for reading in readings
    ]


def _facts(reading: Reading) -> ImageFacts:
    assert reading.facts is not None, "only decoded files are judged"
    return reading.facts


def _row(
    reading: Reading, verdict: Verdict, answers: Sequence[Prediction | Failure], models: Sequence[ScreeningModel]
) -> Row:
    """Return the row of a decoded file; `answers` is empty where the gate gives a reason."""
    facts, plane = _facts(reading), reading.planes[models[0].plane_side]
    failures = [answer for answer in answers if not isinstance(answer, Prediction)]
    reason, detail = failures[0] if failures else (verdict.reason, verdict.detail)
    return Row(
        path=reading.candidate.cell,
        reason=reason,
        detail=detail,
        answers=tuple(answer if isinstance(answer, Prediction) else None for answer in answers),
        trained=tuple(_learnt(model, reading) for model in models),
        flags=verdict.flags,
        format=facts.format,
        facts=facts,
        brightness=float(plane.mean()) / 255,
        sha256=reading.sha256,
        attributes=reading.attributes,
    )


def _learnt(model: ScreeningModel, reading: Reading) -> bool | None:
    """Tell whether the network was trained on this very picture; None where it does not say what it was trained on."""
    known = model.decisions.training_pixels if model.decisions else None
    return pixels_digest(reading.planes[model.plane_side])[:PIXEL_DIGITS] in known if known else None


def _unread(reading: Reading) -> Row | None:
    """Return the row of a file that was not decoded; None for one that is no image."""
    if not reading.is_image:
        return None
    error = reading.error
    assert error is not None
    return Row(
        reading.candidate.cell,
        error.reason,
        error.detail,
        format=reading.format,
        sha256=reading.sha256,
        attributes=reading.attributes,
    )
