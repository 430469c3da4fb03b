"""Screen files: worker threads decode ahead, the networks answer in batches, each answer stays with its file."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from cxr.decisions import PIXEL_DIGITS
from cxr.files import JsonObject
from cxr.flags import Flag
from cxr.network import BATCH
from cxr.planes import pixels_digest
from cxr.screening.ahead import work_ahead
from cxr.screening.answers import Model, answers_of
from cxr.screening.attempts import Failure
from cxr.screening.candidates import Candidate
from cxr.screening.gating import Verdict, verdicts_of
from cxr.screening.local import store_of
from cxr.screening.reading import Reading, read
from cxr.screening.rows import Answer, Row, flags_of
from cxr.screening.schema import Schema
from cxr.screening.store import Root, Stamp

BATCHES_AHEAD = 4  # bounds memory: this many batches of planes are decoded or being decoded


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a candidate: `row` is None for a file that is no image."""

    candidate: Candidate
    stamp: Stamp
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
    readings = work_ahead(decode, candidates, workers, max(BATCHES_AHEAD * max(batch, BATCH), workers), store.stop)
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
    answers = [answers_of({name: r.planes[m.plane_side] for name, r in passed}, m, unusual) for m in models]
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


def _row(reading: Reading, verdict: Verdict, answers: Sequence[Answer | Failure], models: Sequence[Model]) -> Row:
    """Return the row of a decoded file; `answers` is empty where the gate gives a reason."""
    facts, side = reading.facts, models[0].plane_side
    assert facts is not None
    failures = [answer for answer in answers if not isinstance(answer, Answer)]
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


def _recognised(answer: Answer | Failure, model: Model, reading: Reading) -> Answer | None:
    """Return the answer, if it is one, with whether the network was trained on this very picture."""
    if not isinstance(answer, Answer):
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
