"""Radiographs that something was done to, and what is made of them: uint8 (height, width) each."""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

import numpy as np
from gate_pictures import Picture
from PIL import Image, ImageFilter


def turned(quarters: int) -> Callable[[Picture, np.random.Generator], Picture]:
    """Return what turns a radiograph by that many quarters."""
    return lambda film, _: np.ascontiguousarray(np.rot90(film, quarters))


def inverted(film: Picture, _: np.random.Generator) -> Picture:
    return 255 - film


def inverted_and_turned(film: Picture, rng: np.random.Generator) -> Picture:
    return 255 - np.rot90(film, int(rng.integers(1, 4)))


def cropped(film: Picture, rng: np.random.Generator) -> Picture:
    """Cut a window of 0.35 to 0.65 of the side."""
    share, place = rng.uniform(0.35, 0.65), rng.random(2)
    height, width = (int(share * length) for length in film.shape)
    top, left = int(place[0] * (film.shape[0] - height)), int(place[1] * (film.shape[1] - width))
    return film[top : top + height, left : left + width]


# By the sign that each must raise: any of those named.
DONE: Mapping[str, tuple[Callable[[Picture, np.random.Generator], Picture], tuple[str, ...]]] = {
    "inverted": (inverted, ("inverted",)),
    "turned by 90": (turned(1), ("rotated_90",)),
    "turned by 270": (turned(3), ("rotated_90",)),
    "turned by 180": (turned(2), ("rotated_180",)),
    "inverted and turned": (inverted_and_turned, ("inverted", "rotated_90", "rotated_180")),
    "cropped": (cropped, ("cropped",)),
}


def films_on_a_table(films: list[Picture]) -> Iterator[Picture]:
    """Photograph each film from aslant, small before a table of wood, with shade and noise."""
    rng = np.random.default_rng(8)
    for film in films:
        side = 400
        grain = np.cumsum(rng.normal(size=(side, 1)), axis=0) + 0.3 * rng.normal(size=(side, side))
        table = Image.fromarray(np.rint(np.clip(110 + 6 * grain, 0, 255)).astype(np.uint8))
        table = table.filter(ImageFilter.GaussianBlur(1.5))
        corners = np.array([(0.2, 0.2), (0.2, 0.8), (0.8, 0.8), (0.8, 0.2)]) * side + rng.normal(0, 0.07 * side, (4, 2))
        back = _perspective(corners, film.shape[1], film.shape[0])
        warp = Image.Transform.PERSPECTIVE, back, Image.Resampling.BILINEAR
        seen = Image.fromarray(film).transform((side, side), *warp)
        mask = Image.new("L", (film.shape[1], film.shape[0]), 255).transform((side, side), *warp)
        table.paste(seen, (0, 0), mask)
        shade = 1 + 0.3 * np.linspace(-1, 1, side)[None, :] * rng.choice([-1, 1])
        photo = np.asarray(table) * shade + rng.normal(0, 4, (side, side))
        yield np.rint(np.clip(photo, 0, 255)).astype(np.uint8)


def mosaics(films: list[Picture]) -> Iterator[Picture]:
    """Lay five films beside each other: one large, four small, which no training does."""
    for number in range(len(films) - 4):
        whole = Image.new("L", (480, 320), 0)
        places = [(0, 0, 320), (320, 0, 80), (400, 0, 80), (320, 160, 160), (320, 80, 80)]
        for film, (left, top, side) in zip(films[number : number + 5], places, strict=True):
            whole.paste(Image.fromarray(film).resize((side, side)), (left, top))
        yield np.asarray(whole)


def overlaid(films: list[Picture]) -> Iterator[Picture]:
    """Expose one film twice: an upright one and another, upside down."""
    for first, second in pairwise(films):
        other = Image.fromarray(np.ascontiguousarray(second[::-1])).resize(first.shape[::-1])
        yield ((first.astype(np.uint16) + np.asarray(other)) // 2).astype(np.uint8)


def _perspective(corners: np.ndarray, width: int, height: int) -> tuple[float, ...]:
    """Return Pillow's eight numbers: from the photograph to the film, whose corners lie at `corners` (x, y)."""
    rows, values = [], []
    for (x, y), (u, v) in zip(corners, [(0, 0), (0, height), (width, height), (width, 0)], strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return tuple(np.linalg.solve(np.array(rows), np.array(values)))
