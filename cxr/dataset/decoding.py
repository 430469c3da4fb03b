"""Decode a release once, on all processors: every picture straight into its planes, which lie on the disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import ImageError
from cxr.core.files import Track, guarded, untracked
from cxr.core.image import ImageFacts, Plane, pixels_digest
from cxr.core.process import Map
from cxr.dataset.appearance import Features, appearance_features
from cxr.dataset.duplicates import BITS, perceptual_hashes
from cxr.imaging.decode import read_planes

CHUNK = 64  # files of one task: their planes are a few megabytes


@dataclass(frozen=True, slots=True)
class Decoded:
    """One image file: either `facts` and `pixels_sha256`, or `error`."""

    file: str
    label: str
    facts: ImageFacts | None = None
    pixels_sha256: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class DecodedRelease:
    """Every image file of a release.

    Attributes:
        files: In the order of the release.
        planes: Of the n readable ones, in that order: by side, uint8 (n, side, side), read-only, on the disk.
        hashes: bool (n, 2, 256), of the planes of the first side, see `perceptual_hashes`.
        looks: float64 (n, 22), of the same, see `appearance_features`.
    """

    files: tuple[Decoded, ...]
    planes: Mapping[int, Plane]
    hashes: NDArray[np.bool_]
    looks: Features


@dataclass(frozen=True, slots=True)
class _Task:
    """Files in a row, of which the first is number `start` of all."""

    root: Path
    start: int
    files: Sequence[tuple[Path, str]]
    arrays: Mapping[int, Path]


def decode_release(
    root: Path,
    images: Mapping[str, Sequence[Path]],
    sides: Sequence[int],
    scratch: Path,
    track: Track = untracked,
    each: Map = map,
) -> DecodedRelease:
    """Decode every image once; the result does not depend on the number of processes.

    Args:
        root: Of the release.
        images: Paths below it by label.
        sides: Of the planes, each once; digest and hash are those of the first.
        scratch: A folder for the planes, which must stay as long as they are used.
        track: Shows the progress.
        each: From `cxr.core.process.worker_processes`.

    Raises:
        OutputError: The disk takes no more.
    """
    files = [(path, label) for label, paths in images.items() for path in paths]
    arrays = {side: scratch / f"{side}.planes" for side in sides}
    for path in arrays.values():
        with guarded(path):
            path.touch()
    tasks = [_Task(root, start, files[start : start + CHUNK], arrays) for start in range(0, len(files), CHUNK)]
    found = list(track(chain.from_iterable(each(_decode_task, tasks)), "decoding", len(files)))
    kept = [number for number, one in enumerate(found) if not one.file.error]
    planes = {side: _kept_planes(path, side, kept, len(found)) for side, path in arrays.items()}
    hashes = np.array([found[number].hashes for number in kept], np.bool_).reshape(len(kept), 2, BITS)
    looks = np.array([found[number].looks for number in kept], np.float64)
    return DecodedRelease(tuple(one.file for one in found), planes, hashes, looks)


@dataclass(frozen=True, slots=True)
class _Found:
    """A file, with hashes bool (2, 256) and looks float64 (22,) of its first plane, which is black without picture."""

    file: Decoded
    hashes: NDArray[np.bool_]
    looks: Features


def _decode_task(task: _Task) -> list[_Found]:
    """Write the planes of a task to their places, and return the rest."""
    blocks = {side: np.zeros((len(task.files), side, side), np.uint8) for side in task.arrays}
    files = [_decode(task.root, path, label, row, blocks) for row, (path, label) in enumerate(task.files)]
    for side, path in task.arrays.items():
        with guarded(path), path.open("r+b") as file:
            file.seek(task.start * side * side)
            file.write(blocks[side].data)
    first = next(iter(blocks.values()))
    return list(map(_Found, files, perceptual_hashes(first), appearance_features(first)))


def _decode(root: Path, path: Path, label: str, row: int, blocks: Mapping[int, Plane]) -> Decoded:
    file = path.as_posix()
    try:
        planes, luminance, facts = read_planes(root / path, list(blocks))
    except ImageError as error:
        return Decoded(file, label, error=str(error))
    for side, plane in planes.items():
        blocks[side][row] = plane
    return Decoded(file, label, facts, pixels_digest(luminance))


def _kept_planes(path: Path, side: int, kept: Sequence[int], count: int) -> Plane:
    """Move the planes of the readable files together, and open them."""
    size = side * side
    with guarded(path), path.open("r+b") as file:
        if len(kept) < count:
            for row, number in enumerate(kept):
                file.seek(number * size)
                plane = file.read(size)
                file.seek(row * size)
                file.write(plane)
            file.truncate(len(kept) * size)
    if not kept:
        return np.zeros((0, side, side), np.uint8)
    return np.memmap(path, np.uint8, "r", shape=(len(kept), side, side))
