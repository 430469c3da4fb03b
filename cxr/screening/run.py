"""Screen files: worker threads decode ahead, the network answers in batches, each answer stays with its path."""

import os
from collections.abc import Generator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cxr.errors import ImageError, ModelError, Reason
from cxr.network import softmax
from cxr.planes import Plane
from cxr.screening.reading import Reading, read, read_ahead
from cxr.screening.results import Row

BATCH = 32
BATCHES_AHEAD = 4  # bounds memory: this many batches of planes are decoded or being decoded
Floats = NDArray[np.float32]


class Answers(Protocol):
    """What `Predictor.predict` returns; `cxr.network.Outputs` in production."""

    @property
    def logits(self) -> Floats:
        """Shape (pictures, classes)."""


class Predictor(Protocol):
    """A network; `cxr.network.Network` in production."""

    def predict(self, planes: Plane) -> Answers:
        """Answer for uint8 planes of shape (pictures, side, side)."""


class Model(Protocol):
    """A network with its classes; `cxr.network.ScreeningModel` in production."""

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the logits."""

    @property
    def plane_side(self) -> int:
        """Side in pixels of the planes that the network takes."""

    @property
    def network(self) -> Predictor:
        """The network."""


def screen(folder: Path, paths: Sequence[str], model: Model, workers: int | None = None) -> Generator[Row]:
    """Give one row for each of `paths`, in their order.

    Args:
        folder: What `paths` are relative to.
        paths: POSIX.
        model: Answers for batches of at most `BATCH` planes.
        workers: Decoding threads; one for each core by default.

    Raises:
        ModelError: The network's answer has another shape than pictures x classes.
    """
    decode = partial(read, folder, side=model.plane_side)
    readings = read_ahead(decode, paths, workers or os.cpu_count() or 1, BATCH * BATCHES_AHEAD)
    try:
        while batch := list(islice(readings, BATCH)):
            yield from _classify(batch, model)
    finally:
        readings.close()


def _classify(batch: Sequence[Reading], model: Model) -> list[Row]:
    """Return the rows of `batch`, in its order."""
    readable = {reading.path: reading.plane for reading in batch if reading.plane is not None}
    rows = {row.path: row for row in _answer(readable, model)}
    rows |= {reading.path: _unread(reading.path, reading.error) for reading in batch if reading.error}
    return [rows[reading.path] for reading in batch]


def _answer(planes: Mapping[str, Plane], model: Model) -> list[Row]:
    """Answer for planes by path; where the network fails on several together, each is tried alone."""
    if not planes:
        return []
    try:
        logits = _predict(np.stack(list(planes.values())), model)
    except ModelError:
        raise
    except Exception as error:  # a runtime raises anything; only the picture that causes it may lose its answer
        if len(planes) == 1:
            return [Row(path, Reason.NETWORK, detail=str(error) or type(error).__name__) for path in planes]
        return [row for path, plane in planes.items() for row in _answer({path: plane}, model)]
    return [_row(path, values, model.classes) for path, values in zip(planes, logits, strict=True)]


def _predict(planes: Plane, model: Model) -> Floats:
    """Return logits of shape (pictures, classes) for at most `BATCH` planes.

    The network always receives `BATCH` planes, filled up with black: a runtime may choose another algorithm, with
    other last digits, for another number, and a picture's answer must not depend on its neighbours.
    """
    padded = np.zeros((BATCH, *planes.shape[1:]), np.uint8)
    padded[: len(planes)] = planes
    logits = model.network.predict(padded).logits
    if logits.shape != (BATCH, len(model.classes)):
        raise ModelError(
            f"the network gave an array of shape {logits.shape} for {BATCH} pictures and the classes "
            f"{', '.join(model.classes)}; take the whole model folder from one run"
        )
    return logits[: len(planes)]


def _row(path: str, logits: Floats, classes: Sequence[str]) -> Row:
    if not np.isfinite(logits).all():
        return Row(path, Reason.NOT_FINITE, detail="the network's output is not a number, or infinite")
    probabilities = softmax(logits)
    return Row(path, None, classes[int(probabilities.argmax())], tuple(probabilities.tolist()))


def _unread(path: str, error: ImageError) -> Row:
    return Row(path, error.reason, detail=error.detail)
