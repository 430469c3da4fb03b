"""Where the lungs are: the segmenter of a model folder, which answers nothing about disease and judges no picture.

Screening does without it and does not load it; `--explain` and the audits of `evaluate` ask it.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import ModelError
from cxr.core.image import Masks, Plane
from cxr.core.process import limit_error
from cxr.inference.decisions import read_fields
from cxr.inference.network import ONE_RUN, Floats, Network, files_digest

LUNGS = "lungs"  # output of the network, and the key of a model's description that names its segmenter
LUNGS_FILE, LUNGS_NETWORK_FILE, LUNGS_WEIGHTS_FILE = "lungs.json", "lungs.xml", "lungs.bin"
LUNGS_FILES = (LUNGS_FILE, LUNGS_NETWORK_FILE, LUNGS_WEIGHTS_FILE)
LUNGS_FORM = 1


class LungNetwork(Network):
    """The segmenter's network: one output, a logit for each pixel of the plane."""

    def lungs(self, planes: Plane) -> Floats:
        """Return float32 (n, side, side), above zero in the lungs, for uint8 (n, side, side), n at least 1."""
        return self._run(planes, LUNGS)[0][..., 0]


class Segmenter:
    """A compiled segmenter; the mask of a plane depends on that plane alone."""

    def __init__(self, network: LungNetwork, side: int, sha256: str) -> None:
        """Join what `load_lungs` read.

        Args:
            network: Compiled.
            side: Of the planes that it takes, in pixels.
            sha256: Over its three files, see `lungs_fingerprint`.
        """
        self.plane_side, self.sha256, self._network = side, sha256, network

    def masks(self, planes: Plane) -> Masks:
        """Return bool (n, side, side), True in the lungs, for uint8 planes of shape (n, side, side)."""
        if not len(planes):
            return np.zeros(planes.shape, np.bool_)
        return np.stack([without_specks(logits > 0) for logits in self._network.lungs(planes)])


def load_lungs(folder: Path, threads: int = 0, pinned: bool = True) -> Segmenter:
    """Load the segmenter in `folder`: of a model, or as `train_lungs` wrote it.

    Args:
        folder: With LUNGS_FILES.
        threads: As `pinned`, of `cxr.inference.network.Network`.
        pinned: Whether threads stay on their cores.

    Raises:
        ModelError: A file is absent, is not what it should be, or is of another training than the others.
    """
    form = read_fields(folder / LUNGS_FILE, LUNGS, LUNGS_FORM, "a lung segmenter")
    if form.inner("network").text("sha256", "[0-9a-f]{64}") != lung_network_fingerprint(folder):
        raise ModelError(f"{form.where} describes another network than the {LUNGS_NETWORK_FILE} beside it; {ONE_RUN}")
    side = form.count("image_side", 1)
    network = LungNetwork(folder / LUNGS_NETWORK_FILE, threads, pinned)
    _require_masks(network, folder, side)
    return Segmenter(network, side, lungs_fingerprint(folder))


def lungs_fingerprint(folder: Path) -> str:
    """Return the SHA-256 over the digests of LUNGS_FILES in `folder`. Raises ModelError where one is absent."""
    return files_digest(folder, LUNGS_FILES, "whole lung segmenter")


def lung_network_fingerprint(folder: Path) -> str:
    """Return the SHA-256 over the digests of graph and weights. Raises ModelError where one is absent."""
    return files_digest(folder, (LUNGS_NETWORK_FILE, LUNGS_WEIGHTS_FILE), "whole lung segmenter")


def _require_masks(network: LungNetwork, folder: Path, side: int) -> None:
    try:
        shape = network.lungs(np.zeros((1, side, side), np.uint8)).shape
    except (RuntimeError, MemoryError) as error:
        other = ModelError(f"the lung segmenter in {folder} does not take planes of {side} pixels; {ONE_RUN}")
        raise limit_error(error, f"to load the lung segmenter in {folder}") or other from error
    if shape != (1, side, side):
        raise ModelError(f"the lung segmenter in {folder} gives masks of {shape[1:]}, not of {side} pixels; {ONE_RUN}")


CELL = 4  # pixels: pieces closer than that are one
SPECK = 0.1  # of the largest piece


def without_specks(mask: Masks) -> Masks:
    """Return a mask (side, side) without pieces smaller than a share SPECK of its largest: bowel, what lies beside."""
    side = len(mask)
    starts = np.arange(0, side, CELL)
    pixels = np.add.reduceat(np.add.reduceat(mask.astype(np.int64), starts, axis=0), starts, axis=1)
    sizes = _piece_sizes(pixels)
    kept = sizes >= SPECK * sizes.max()
    return np.asarray(mask & kept.repeat(CELL, axis=0).repeat(CELL, axis=1)[:side, :side])


def _piece_sizes(pixels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return for each cell how many pixels its piece has; cells with any that touch, if by a corner, are one piece."""
    there = pixels > 0
    before, numbers = pixels * 0, np.where(there, np.arange(1, pixels.size + 1).reshape(pixels.shape), 0)
    while not np.array_equal(numbers, before):  # the largest number of a piece spreads over it
        before, padded = numbers, np.pad(numbers, 1)
        rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
        numbers = np.where(there, np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:]), 0)
    return np.asarray(np.bincount(numbers.ravel(), pixels.ravel())[numbers], np.float64)


def box_of(mask: Masks) -> tuple[int, int, int, int] | None:
    """Return first row, row after the last, and the same of columns, of a mask (side, side); None where it is empty."""
    if not mask.any():
        return None
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
