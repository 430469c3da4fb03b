"""Read one file once: its bytes, their digest, its planes, or why there are none; and read ahead of who needs it."""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from cxr.core.errors import ImageError, Reason
from cxr.core.image import ImageFacts, Plane
from cxr.imaging import isolation
from cxr.imaging.decode import attributes_of, decode_planes
from cxr.imaging.formats import claims_picture, is_unread_picture, recognise
from cxr.imaging.isolation import FILE_SECONDS
from cxr.screening.candidates import Candidate
from cxr.screening.storage import MAX_BYTES, FileVersion, Root, store_of


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How files are read.

    Attributes:
        keywords: DICOM attributes that are read too.
        seconds: That decoding one file may take; 0: as long as it takes.
        any_dicom: Whether DICOM is decoded whose header says another modality or part of the body.
    """

    keywords: tuple[str, ...] = ()
    seconds: float = FILE_SECONDS
    any_dicom: bool = False


AS_USUAL = ReadOptions()


@dataclass(frozen=True, slots=True)
class Reading:
    """One file after decoding.

    Attributes:
        candidate: Which file.
        stamp: What tells the file from one that replaced it; empty where it cannot be opened.
        is_image: False where neither name nor content says so: such a file has no row.
        format: As recognised by content; empty where unknown.
        sha256: Of the bytes that were decoded; empty where they could not be read.
        planes: uint8 (side, side) by side; empty with an error.
        facts: None with an error.
        error: Why there are no planes.
        attributes: Values of the DICOM attributes that were asked for, in that order, also with an error; empty where
            the file could not be read.
    """

    candidate: Candidate
    stamp: FileVersion = ()
    is_image: bool = True
    format: str = ""
    sha256: str = ""
    planes: Mapping[int, Plane] = field(default_factory=dict)
    facts: ImageFacts | None = None
    error: ImageError | None = None
    attributes: tuple[str, ...] = ()


def read(candidate: Candidate, root: Root, sides: Sequence[int], options: ReadOptions = AS_USUAL) -> Reading:
    """Read and decode a candidate for networks that take planes of `sides` pixels; an ImageError becomes data."""
    claims = _claims(candidate)
    reading = Reading(candidate)
    store = store_of(root)
    try:
        with store.opened(candidate, whole=claims) as file:
            reading = replace(reading, stamp=file.stamp, format=recognise(file.head) or "")
            claims = claims or is_unread_picture(file.head)
            if not reading.format and not claims:
                return replace(reading, is_image=False)
            if file.size > MAX_BYTES:
                raise ImageError(Reason.TOO_LARGE, f"{file.size:,} bytes; at most {MAX_BYTES:,} are read")
            data = file.whole()
    except OSError as error:
        return replace(reading, error=ImageError(Reason.UNREADABLE, error.strerror or str(error)))
    except MemoryError:
        return replace(reading, error=ImageError(Reason.MEMORY, "not enough memory for the file's bytes"))
    except ImageError as error:
        return replace(reading, error=error)
    reading = replace(reading, sha256=hashlib.sha256(data).hexdigest())
    try:
        with store.decoding:
            # First: a film that cannot be decoded has to be found where it came from.
            reading = replace(reading, attributes=attributes_of(data, options.keywords, options.seconds))
            return _decoded(reading, data, sides, options)
    except MemoryError:
        return replace(reading, error=ImageError(Reason.MEMORY, "not enough memory for its pixels"))
    except ImageError as error:
        return replace(reading, error=error, is_image=claims or error.reason is not Reason.NOT_AN_IMAGE)


def read_again(candidate: Candidate, root: Root, sha256: str) -> bytes:
    """Return the bytes of a file that has a row.

    Args:
        candidate: Which file.
        root: Where it is.
        sha256: Of the bytes that were screened; empty where they could not be read.

    Raises:
        ImageError: It cannot be read, or has other bytes now.
    """
    try:
        with store_of(root).opened(candidate, whole=True) as file:
            if file.size > MAX_BYTES:
                raise ImageError(Reason.TOO_LARGE, f"{file.size:,} bytes; at most {MAX_BYTES:,} are read")
            data = file.whole()
    except OSError as error:
        raise ImageError(Reason.UNREADABLE, f"it cannot be read: {error.strerror or error}") from error
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise ImageError(Reason.UNREADABLE, "it has changed since it was screened")
    return data


def may_have_row(candidate: Candidate, root: Root) -> bool:
    """Tell from name and first bytes whether `read` would give the candidate a row; in doubt, yes.

    Only a DICOM object without pixels and without an image's name is taken for an image here, and not by `read`.
    """
    if _claims(candidate):
        return True
    try:
        with store_of(root).opened(candidate, whole=False) as file:
            return recognise(file.head) is not None or is_unread_picture(file.head)
    except (OSError, ImageError):
        return True


def _claims(candidate: Candidate) -> bool:
    """Tell whether a candidate's owner takes it for an image."""
    return candidate.named or claims_picture(candidate.relative)


def _decoded(reading: Reading, data: bytes, sides: Sequence[int], options: ReadOptions) -> Reading:
    planes, _, facts = decode_planes(data, sides, options.seconds, any_dicom=options.any_dicom)
    return replace(reading, planes=planes, facts=facts)


IN_TURN = -1
Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def _pool(workers: int, stop: Callable[[], None]) -> Iterator[ThreadPoolExecutor]:
    """Stop without working off the queue or waiting for decoders, so that Ctrl-C ends at once."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        isolation.stop()
        stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def prefetch(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    ahead: int,
    stop: Callable[[], None] = lambda: None,
) -> Generator[Result, None, None]:
    """Give `work(item)` for each item, in order; at most `ahead` of them are queued, in work or waiting.

    With `workers` IN_TURN nothing is worked ahead: each item is worked on when its result is asked for.
    `stop` is called where this ends early, before what is in work is waited for.
    """
    if workers == IN_TURN:
        yield from map(work, items)
        return
    with _pool(workers, stop) as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
