"""Look at every image of a folder before it becomes the data set."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cxr.errors import DataError, ImageError
from cxr.images import decode
from cxr.progress import Track, untracked

UNKNOWN = "unknown"
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Inspected:
    """One image file.

    Attributes:
        file: Relative to the inspected folder.
        kind: Bits and mode as stored, e.g. `8-bit L`; empty when unreadable.
        size: Width x height in pixels, e.g. `299x299`; empty when unreadable.
        error: Why it is unreadable, else empty.
    """

    file: PurePosixPath
    kind: str = ""
    size: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """What the images of one class are; each counter counts images, unreadable ones only in `images`."""

    images: int
    unreadable: int
    kinds: Counter[str]
    sizes: Counter[str]
    sources: Counter[str]


def inspect(root: Path, files: Sequence[PurePosixPath], side: int, track: Track = untracked) -> list[Inspected]:
    """Decode each of `files` (relative to `root`) as the pipeline will, with planes of `side` pixels, in threads."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        try:
            passing = pool.map(lambda file: _inspect_one(root, file, side), files)
            return list(track(passing, "reading images", len(files)))
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C, do not decode the rest first


def require_readable(inspected: Sequence[Inspected]) -> None:
    """Raise DataError naming the first unreadable files, if there are any."""
    bad = [item for item in inspected if item.error]
    if not bad:
        return
    named = "; ".join(f"{item.file} ({item.error})" for item in bad[:SHOWN])
    more = f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    raise DataError(
        f"{len(bad)} of {len(inspected)} images cannot be read: {named}{more}. Nothing was imported. Replace or remove "
        "them, or import all the same with --allow-unreadable"
    )


def count_classes(
    images: Mapping[str, Sequence[PurePosixPath]], inspected: Sequence[Inspected], sources: Mapping[str, str]
) -> dict[str, ClassCounts]:
    """Count per label what was found; `sources` is by POSIX path, a missing one counts as `UNKNOWN`."""
    by_file = {item.file: item for item in inspected}
    return {label: _count_class([by_file[file] for file in files], sources) for label, files in images.items()}


def _inspect_one(root: Path, file: PurePosixPath, side: int) -> Inspected:
    try:
        _, facts = decode(root / file, side)
    except ImageError as error:
        return Inspected(file, error=str(error))
    return Inspected(file, f"{facts.bit_depth}-bit {facts.mode}", f"{facts.width}x{facts.height}")


def _count_class(items: Sequence[Inspected], sources: Mapping[str, str]) -> ClassCounts:
    readable = [item for item in items if not item.error]
    return ClassCounts(
        images=len(items),
        unreadable=len(items) - len(readable),
        kinds=Counter(item.kind for item in readable),
        sizes=Counter(item.size for item in readable),
        sources=Counter(sources.get(str(item.file), UNKNOWN) for item in items),
    )
