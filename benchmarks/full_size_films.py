"""A release of the size of the public database, for full_size.py: drawn phantoms, each film another picture.

Counts, sizes and layout are the public database's: 15,153 films of 299 x 299 in PNG, masks of 256 x 256, sheets. A film
is one of 200 phantoms, turned, stretched and lit in another way and with its own grain: about as large a file as a
radiograph, and mostly as far from the others by perceptual hash. One in thirty is a near-duplicate of the film before.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from screening_files import SEED, whole

from cxr.dataset.release import MASK_FOLDER
from cxr.phantom.anatomy import Finding
from cxr.phantom.film import SIDE, draw_phantom
from cxr.phantom.sample import IMAGE_FOLDER, file_of, write_sheet

COUNTS = {Finding.GROUND_GLASS: 3616, Finding.NONE: 10192, Finding.INTERSTITIAL: 1345}
PHANTOMS = 200
COPIES = 30  # one film in so many is the one before, lighter
CHUNK = 128  # films of one task

Grey = NDArray[np.uint8]


def full_release(folder: Path, share: float = 1.0) -> Path:
    """Return a folder of class folders in `folder`, made where it is absent; `share` of the films of each class."""
    return whole(folder / f"films-{share:g}", lambda unfinished: _make(unfinished, share))


def _make(root: Path, share: float) -> None:
    tasks = []
    for finding, count in COUNTS.items():
        numbers = range(1, max(1, round(count * share)) + 1)
        for name in (IMAGE_FOLDER, MASK_FOLDER):
            (root / finding.value / name).mkdir(parents=True)
        rows = [(f"{finding.value}-{number}", "PNG", "256*256", _source(number)) for number in numbers]
        write_sheet(root / f"{finding.value}.metadata.xlsx", rows)
        tasks += [(root, finding, numbers[first : first + CHUNK]) for first in range(0, len(numbers), CHUNK)]
    with ProcessPoolExecutor() as pool:
        list(pool.map(_write, *zip(*tasks, strict=True)))


def _source(number: int) -> str:
    return f"https://example.org/synthetic/{number % 5}"


def _write(root: Path, finding: Finding, numbers: Sequence[int]) -> None:
    for number in numbers:
        film, lungs = _film(finding, number)
        Image.fromarray(film).save(root / file_of(finding, number))
        Image.fromarray(lungs).save(root / file_of(finding, number, MASK_FOLDER))


def _film(finding: Finding, number: int) -> tuple[Grey, Grey]:
    if number % COPIES == 0:
        film, lungs = _film(finding, number - 1)
        return np.clip(film * 1.04, 0, 255).round().astype(np.uint8), lungs
    rng = np.random.default_rng([SEED, list(Finding).index(finding), number])
    film, lungs = _phantom(finding, int(rng.integers(PHANTOMS)) // 3)
    place = _place(rng)
    turned = Image.fromarray(film).transform((SIDE, SIDE), Image.Transform.AFFINE, place, Image.Resampling.BILINEAR)
    light = Image.fromarray(rng.normal(0, 22, (7, 7)).astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    grey = np.asarray(turned, np.float32) * rng.uniform(0.8, 1.1) + np.asarray(light)
    grey += rng.standard_normal((SIDE, SIDE), np.float32) * np.float32(1.5)
    return np.clip(grey, 0, 255).round().astype(np.uint8), lungs


@cache
def _phantom(finding: Finding, number: int) -> tuple[Grey, Grey]:
    drawn = draw_phantom(finding, [SEED, number], 0)
    return drawn.luminance, drawn.lungs


def _place(rng: np.random.Generator) -> tuple[float, ...]:
    """Return the coefficients that Pillow takes, about the middle of the film."""
    turn, wide, high = rng.uniform(-0.15, 0.15), rng.uniform(0.85, 1.1), rng.uniform(0.85, 1.1)
    matrix = np.array([[wide * np.cos(turn), -np.sin(turn)], [np.sin(turn), high * np.cos(turn)]])
    offset = SIDE / 2 - matrix @ (SIDE / 2 + rng.uniform(-20, 20, 2))
    return (*matrix[0], offset[0], *matrix[1], offset[1])
