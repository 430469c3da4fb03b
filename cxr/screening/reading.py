"""Decode files on worker threads, a bounded number ahead of whoever takes the planes, in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cxr.errors import ImageError
from cxr.images import read_plane
from cxr.planes import Plane


@dataclass(frozen=True, slots=True)
class Reading:
    """One file after decoding: `plane` (uint8, side x side) or the error, never both."""

    path: str
    plane: Plane | None = None
    error: ImageError | None = None


def read(folder: Path, path: str, side: int) -> Reading:
    """Decode `path`, relative to `folder`, into a plane of `side` x `side` pixels; an ImageError becomes data."""
    try:
        plane, _ = read_plane(folder / path, side)
    except ImageError as error:
        return Reading(path, error=error)
    return Reading(path, plane)


@contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Stop without working off the queue, so that Ctrl-C ends after the files that are being decoded."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def read_ahead(decode: Callable[[str], Reading], paths: Sequence[str], workers: int, ahead: int) -> Generator[Reading]:
    """Give `decode(path)` for each path, in order; at most `ahead` of them are queued, in work or waiting."""
    with _pool(workers) as pool:
        waiting: deque[Future[Reading]] = deque()
        for path in paths:
            waiting.append(pool.submit(decode, path))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
