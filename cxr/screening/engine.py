"""Screen files: worker threads decode ahead, the networks answer in batches, each answer stays with its file."""

import os
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from cxr.decisions import PIXEL_DIGITS
from cxr.planes import pixels_digest
from cxr.screening.ahead import work_ahead
from cxr.screening.answers import Failure, Model, answers_of
from cxr.screening.query import Candidate
from cxr.screening.reading import Reading, Stamp, read
from cxr.screening.rows import Answer, Row, flags_of

BATCHES_AHEAD = 4  # bounds memory: this many batches of planes are decoded or being decoded


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a candidate: `row` is None for a file that is no image."""

    candidate: Candidate
    stamp: Stamp
    row: Row | None


def default_workers() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def screen(
    candidates: Iterable[Candidate],
    root: Path,
    models: Sequence[Model],
    workers: int = 0,
    keywords: Sequence[str] = (),
) -> Generator[list[Outcome], None, None]:
    """Give what became of each candidate, in their order, a batch at a time.

    Args:
        candidates: Their relative paths start from `root`.
        root: Absolute.
        models: At least one; each file is read once for all of them.
        workers: Decoding threads; 0 is one for each core.
        keywords: DICOM attributes to read.

    Raises:
        ModelError: A network's answer has another shape than pictures x classes.
    """
    batch = models[0].network.batch
    sides = [model.plane_side for model in models]
    decode = partial(read, root=root, sides=sides, keywords=keywords)
    readings = work_ahead(decode, candidates, workers or default_workers(), BATCHES_AHEAD * max(batch, 8))
    try:
        while some := list(islice(readings, batch)):
            yield _outcomes(some, models)
    finally:
        readings.close()


def _outcomes(readings: Sequence[Reading], models: Sequence[Model]) -> list[Outcome]:
    """Return the outcomes of `readings`, in their order; answers are found by name, never by position."""
    answers = [answers_of({r.candidate.cell: r.planes[m.plane_side] for r in readings if r.planes}, m) for m in models]
    return [
        Outcome(reading.candidate, reading.stamp, _row(reading, [of[reading.candidate.cell] for of in answers], models))
        if reading.planes
        else Outcome(reading.candidate, reading.stamp, _unread(reading) if reading.is_image else None)
        for reading in readings
    ]


def _row(reading: Reading, answers: Sequence[Answer | Failure], models: Sequence[Model]) -> Row:
    facts, side = reading.facts, models[0].plane_side
    assert facts is not None
    failures = [answer for answer in answers if not isinstance(answer, Answer)]
    reason, detail = failures[0] if failures else (None, "")
    plane = reading.planes[side]
    return Row(
        path=reading.candidate.cell,
        reason=reason,
        detail=detail,
        answers=tuple(_recognised(answer, reading, model) for answer, model in zip(answers, models, strict=True)),
        flags=flags_of(facts, side, flat=bool(plane.min() == plane.max())),
        format=facts.format,
        facts=facts,
        brightness=float(plane.mean()) / 255,
        sha256=reading.sha256,
        attributes=reading.attributes,
    )


def _recognised(answer: Answer | Failure, reading: Reading, model: Model) -> Answer | None:
    """Return the answer, if it is one, with whether the network was trained on this very picture."""
    if not isinstance(answer, Answer):
        return None
    known = model.decisions.training_pixels if model.decisions else None
    if not known:
        return answer
    return replace(answer, in_training_set=pixels_digest(reading.planes[model.plane_side])[:PIXEL_DIGITS] in known)


def _unread(reading: Reading) -> Row:
    error = reading.error
    assert error is not None
    return Row(reading.candidate.cell, error.reason, error.detail, format=reading.format, sha256=reading.sha256)
