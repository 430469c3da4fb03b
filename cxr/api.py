"""Screening in Python, without a table: arrays and files in, the answers of `cxr-batch` out."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from operator import index
from os import PathLike
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr.core.errors import CxrError, Reason, UsageError
from cxr.core.image import ImageFacts, to_plane
from cxr.core.process import available_cores
from cxr.imaging.pixels import colour_of, luminance_of
from cxr.inference.decisions import ReferReason
from cxr.inference.gate import Flag
from cxr.inference.model_folder import ScreeningModel as Model
from cxr.inference.model_folder import at_operating_point, named_folder
from cxr.inference.model_folder import load_model as load_folder
from cxr.inference.network import BATCH
from cxr.screening.candidates import Candidate, Query
from cxr.screening.discovery import discover
from cxr.screening.paths import Naming
from cxr.screening.predict import BATCHES_AHEAD, outcomes_of
from cxr.screening.read import Reading, ReadOptions, prefetch, read
from cxr.screening.schema import Row, Status

__all__ = ["CxrError", "Model", "Result", "load_model", "screen"]

FilePath = str | PathLike[str]
Picture = NDArray[Any] | FilePath


@dataclass(frozen=True, slots=True)
class Result:
    """What is said of one picture. Names and words are those of the table's columns: see "The table" in the docs.

    Attributes:
        path: The file; empty for an array.
        status: `ok`, `rejected` (no network shall answer) or `error` (the picture cannot be read).
        reason: Why there is no answer, e.g. `not_a_radiograph`; None with an answer.
        detail: The same for people; empty with an answer.
        prediction: The most probable class; None without an answer.
        probabilities: By class, in the model's order, each from 0 to 1, of sum 1, calibrated where the model has
            decisions, not rounded. Empty without an answer.
        prediction_set: The classes that cannot be ruled out. Empty without an answer, too: `decision` is None then.
        decision: `<class>_suspected`, `not_suspected` or `refer`; None without an answer, or for a model that has no
            decisions.
        refer_reason: Why a person should decide; None where `decision` is not `refer`.
        in_training_set: Whether the model was trained on this very picture; None where that is not known.
        flags: What to know before trusting the answer.
    """

    path: str
    status: Status
    reason: Reason | None
    detail: str
    prediction: str | None
    probabilities: Mapping[str, float]
    prediction_set: tuple[str, ...]
    decision: str | None
    refer_reason: ReferReason | None
    in_training_set: bool | None
    flags: tuple[Flag, ...]


def load_model(model: FilePath = "packaged", *, operating_point: str | None = None, threads: int = 0) -> Model:
    """Load a network with its gate and its decisions.

    Args:
        model: `packaged`, which ships, or the folder of a model, such as `models/screening`. A folder in the working
            directory that is called `packaged` is `./packaged`. Empty text, as of a variable that is not set, is
            refused.
        operating_point: Name of the threshold that decides; None: the model's own choice.
        threads: Pictures are computed in batches on that many threads; 0: one for each core. No answer depends on it.

    Raises:
        CxrError: The folder is not a whole model, or the model has no such operating point; or `model` is no name and
            no folder, or `threads` no such number.
    """
    if not isinstance(model, str | PathLike):
        raise UsageError(
            f"an object of type {type(model).__name__} is no model; expected 'packaged', the folder of a model or, "
            "to screen with, what load_model has returned"
        )
    if not isinstance(threads, SupportsIndex) or index(threads) < 0:
        raise UsageError(f"threads is {threads!r}; expected a whole number, 0 for one thread a core")
    text = _named("a model", model)
    folder = named_folder(text) if isinstance(model, str) else Path(text)
    loaded = load_folder(folder, index(threads), pinned=False)
    return loaded if operating_point is None else at_operating_point(loaded, operating_point)


def screen(
    pictures: Picture | Iterable[Picture], model: Model | FilePath | None = None, *, any_dicom: bool = False
) -> list[Result]:
    """Screen pictures as `cxr-batch` does: the same decoding, gate, network and decisions, and so the same answers.

    A file that is absent or cannot be read, or a picture that is no chest radiograph, costs its own answer alone. The
    first file that is not plain (DICOM, for one) starts another process, which decodes it.

    Args:
        pictures: Files, folders, arrays, or several of them.

            A file is of any format that `cxr-batch` reads. Of a folder every picture is taken, also in the folders in
            it, sorted by name, and what is no picture is left out.

            An array is one picture of shape (height, width) or (height, width, 1), of shape (height, width, 3) as RGB
            or (height, width, 4) as RGBA, or a batch of n of them: (n, height, width), (n, height, width, 1) and so on.
            An array of three dimensions whose last one is 1, 3 or 4 is one picture. Colours come last: (3, height,
            width) is a batch of three. 0 is black, as air is, and the largest value is white, as bone is; rows run from
            head to foot. uint8 has the range 0 to 255. uint16 of either byte order, for grey pictures alone, has the
            range of 8, 10, 12, 14 or 16 bits, of which the smallest that holds the picture is taken. Other types are
            refused: only you know what is black and white in them. So is a masked array that masks a pixel.

            Empty text is refused, too; "." is the working directory.
        model: From `load_model`, or what that takes, a name or a folder: it is loaded then, at every call again, as is
            the packaged one for None.
        any_dicom: Whether DICOM is screened whose header says another modality or part of the body.

    Returns:
        A result for each picture, in order.

    Raises:
        CxrError: Something is no file and no array, or an array of another type or shape; or as `load_model`.
    """
    model = _loaded(model)
    decode = partial(_decoded, sides=model.sides, any_dicom=any_dicom)
    numbered = enumerate(_sources(pictures))
    readings = prefetch(decode, numbered, available_cores(), BATCHES_AHEAD * BATCH)
    results: list[Result] = []
    while some := list(islice(readings, BATCH)):
        outcomes = outcomes_of([reading for _, reading in some], [model])
        named = zip(some, outcomes, strict=True)
        results += [_result(source.name, outcome.row, model) for (source, _), outcome in named if outcome.row]
    return results


def _loaded(model: Model | FilePath | None) -> Model:
    if model is None:
        return load_model()
    return model if isinstance(model, Model) else load_model(model)


def _named(what: str, place: FilePath) -> str:
    """Return a path as text. Raises UsageError where it is empty, which would be the working directory, or no path."""
    text = os.fsdecode(place)
    if "\0" in text:
        raise UsageError(f"{what} has a character of value zero, which no path has: {text!r}")
    if not text:
        raise UsageError(f"{what} is empty text, as of a variable that is not set; '.' is this folder")
    return text


@dataclass(frozen=True, slots=True)
class _Source:
    """One picture before it is read: an array, or a file below a folder."""

    name: str = ""
    array: NDArray[Any] | None = None
    folder: Path = Path()
    relative: str = ""
    named: bool = True


def _sources(pictures: Picture | Iterable[Picture]) -> Iterator[_Source]:
    if isinstance(pictures, np.ndarray):
        yield from (_Source(array=one) for one in _each(pictures))
    elif isinstance(pictures, str | PathLike):
        yield from _files(Path(_named("a place to screen", pictures)))
    elif isinstance(pictures, Iterable) and not isinstance(pictures, NO_LISTS) and not _is_tensor(pictures):
        for one in pictures:
            yield from _sources(one)
    else:
        raise UsageError(
            f"an object of type {type(pictures).__name__} is no picture; expected a file, a folder, an array, or a "
            "list of them; of an open picture of Pillow give the file, or of it and of a tensor numpy.asarray(it)"
        )


NO_LISTS = (Image.Image, bytes, Mapping)  # although they can be run through


def _is_tensor(thing: object) -> bool:
    """Tell arrays of other packages, and tables, whose rows or columns are no pictures; a column of names is a list."""
    return hasattr(thing, "__array__") and getattr(thing, "ndim", 1) != 1


SAMPLES = (3, 4)  # of a pixel in RGB and RGBA
GREY = 1  # as Keras and PyTorch have it
PAIR = 2  # grey and alpha, or two views: as a batch, pictures two pixels wide


def _each(array: NDArray[Any]) -> Iterable[NDArray[Any]]:
    """Give the pictures of an array, in this machine's byte order. Raises UsageError where it is none."""
    if np.ma.is_masked(array):
        raise UsageError("a masked array masks pixels, which have no value then; give the array with a value for each")
    own = array.dtype.newbyteorder("=")
    samples = array.shape[-1] if array.ndim > 2 else GREY
    coloured = samples in SAMPLES
    if own != np.uint8 and (own != np.uint16 or coloured):
        raise UsageError(
            f"an array of type {array.dtype}{' in colour' if coloured else ''} has no defined black and white; scale "
            "it to uint8, 0 black and 255 white, or grey to uint16"
        )
    plain = np.asarray(array)[..., 0] if array.ndim > 2 and samples == GREY else np.asarray(array)
    dimensions = plain.ndim - coloured
    if dimensions not in (2, 3) or 0 in array.shape or samples == PAIR:
        raise UsageError(
            f"an array of shape {array.shape} is no picture; expected (height, width), (n, height, width), or the "
            "same with one, three or four colours last"
        )
    return (one.astype(own, copy=False) for one in ([plain] if dimensions == 2 else plain))


def _files(path: Path) -> Iterator[_Source]:
    if not path.is_dir():
        yield _Source(str(path), folder=path.parent.absolute(), relative=path.name)
        return
    for candidate in discover(Query([path]), Naming(path.absolute())).candidates:
        yield _Source(str(path / candidate.relative), None, path.absolute(), candidate.relative, candidate.named)


def _decoded(numbered: tuple[int, _Source], sides: Sequence[int], any_dicom: bool) -> tuple[_Source, Reading]:
    """Read a picture; its number tells it from others, which may be the same file."""
    number, source = numbered
    candidate = Candidate(str(number), source.relative, source.named)
    if source.array is not None:
        return source, _of_array(candidate, source.array, sides)
    return source, read(candidate, source.folder, sides, ReadOptions(any_dicom=any_dicom))


def _of_array(candidate: Candidate, array: NDArray[Any], sides: Sequence[int]) -> Reading:
    image, steps = Image.fromarray(array), list[str]()
    luminance, bit_depth = luminance_of(image, steps)
    facts = ImageFacts(image.width, image.height, image.mode, bit_depth, "", tuple(steps), colour=colour_of(image))
    return Reading(candidate, planes={side: to_plane(luminance, side) for side in sides}, facts=facts)


def _result(name: str, row: Row, model: Model) -> Result:
    answer = row.answer(0)
    decision = answer.decision if answer else None
    return Result(
        path=name,
        status=row.status,
        reason=row.reason,
        detail=row.detail,
        prediction=answer.prediction if answer else None,
        probabilities=dict(zip(model.classes, answer.probabilities, strict=True)) if answer else {},
        prediction_set=decision.classes if decision else (),
        decision=decision.word if decision else None,
        refer_reason=decision.reason if decision else None,
        in_training_set=row.in_training_set(0),
        flags=row.flags,
    )
