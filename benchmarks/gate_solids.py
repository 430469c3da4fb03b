"""Body parts as solids of voxels, seen through, as by X-rays, and cut: drawn in another way than for training."""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

import numpy as np
from gate_pictures import PER_KIND, Picture, levels
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

VOXELS = 64  # along a side
FLESH, MARROW, BONE = 0.05, 0.16, 0.6  # what a voxel takes away
AXIS = np.linspace(-1, 1, VOXELS, dtype=np.float32)
Z, Y, X = AXIS[:, None, None], AXIS[:, None], AXIS  # down, back, to the side

Point = tuple[float, float, float]
Volume = NDArray[np.float32]
# From, to, and the radius of a rod with round ends, by what it is made of.
Rod = tuple[Point, Point, float]
Parts = tuple[list[Rod], list[Rod]]  # bones, flesh


def away(rod: Rod) -> Volume:
    """Return the distance of each voxel from the surface of a rod, negative within."""
    (z, y, x), (down, back, right) = rod[0], np.subtract(rod[1], rod[0])
    along = (Z - z) * down + (Y - y) * back + (X - x) * right
    length = max(down**2 + back**2 + right**2, 1e-6)
    share = np.clip(along / length, 0, 1)
    square = (Z - z) ** 2 + (Y - y) ** 2 + (X - x) ** 2 - share * (2 * along - share * length)
    return np.sqrt(np.maximum(square, 0)) - rod[2]


def filled(parts: Parts, shell: float) -> Volume:
    """Return what each voxel takes away of the rays: flesh, in it bones with a hard shell and marrow."""
    bones, flesh = parts
    volume = np.zeros((VOXELS,) * 3, np.float32)
    for rod in flesh:
        volume[away(rod) < 0] = FLESH
    distances = [away(rod) for rod in bones]
    for depth, weight in ((0.0, BONE), (shell, MARROW)):
        for distance in distances:
            volume[distance < -depth] = weight
    return volume


def fingers(rng: np.random.Generator) -> Parts:
    """A hand, its fingers bent towards the palm."""
    bones: list[Rod] = [((0.5, 0, -0.12), (1.2, 0, -0.15), 0.09), ((0.5, 0, 0.12), (1.2, 0, 0.15), 0.08)]
    bones += [((0.38, 0, x), (0.38, 0, x + 0.02), 0.07) for x in (-0.15, 0, 0.15)]
    for x, long in ((-0.42, 0.6), (-0.2, 0.95), (-0.05, 1.0), (0.1, 0.95), (0.26, 0.75)):
        place, bend = np.array([0.28, 0, 0.7 * x]), rng.uniform(-0.1, 0.3)
        for number, length in enumerate((0.42, 0.26, 0.17, 0.12)):
            angle = bend * number
            end = place + long * length * np.array([-np.cos(angle), -np.sin(angle), 0.5 * x])
            bones.append((tuple(place), tuple(place + 0.9 * (end - place)), 0.045))
            place = end
    return bones, [(start, end, radius + 0.07) for start, end, radius in bones]


def leg(rng: np.random.Generator) -> Parts:
    """A knee or an elbow, at any angle."""
    angle = rng.uniform(0, 1.6)
    foot = (1.4 * np.cos(angle), 1.4 * np.sin(angle), 0.0)
    bones: list[Rod] = [
        ((-1.4, 0, 0), (-0.12, 0, 0), 0.12),
        ((0.12 * np.cos(angle), 0.12 * np.sin(angle), 0), foot, 0.11),
    ]
    bones += [((-0.05, 0, x), (-0.02, 0.05, x), 0.16) for x in (-0.1, 0.1)]
    bones += [
        ((0.2 * np.cos(angle), 0.2 * np.sin(angle), 0.2), (foot[0], foot[1], 0.2), 0.05),
        ((-0.1, -0.25, 0), (0.02, -0.25, 0), 0.08),
    ]
    return bones, [((-1.4, 0, 0), (0, 0, 0), rng.uniform(0.25, 0.4)), ((0, 0, 0), foot, 0.27)]


def head(_: np.random.Generator) -> Parts:
    """A skull with jaw, teeth and neck."""
    bones: list[Rod] = [((-0.25, 0.1, 0), (-0.2, -0.1, 0), 0.5), ((0.1, -0.3, 0), (0.3, -0.35, 0), 0.2)]
    jaw = [(0.2, 0.0, -0.35), (0.5, -0.2, -0.3), (0.55, -0.5, 0.0), (0.5, -0.2, 0.3), (0.2, 0.0, 0.35)]
    bones += [(start, end, 0.06) for start, end in pairwise(jaw)]
    bones += [((0.38, -0.5 + x * x, x), (0.48, -0.5 + x * x, x), 0.03) for x in np.linspace(-0.2, 0.2, 8)]
    bones += [((z, 0.15, 0), (z + 0.06, 0.15, 0), 0.1) for z in np.arange(0.4, 1.2, 0.17)]
    return bones, [((-0.2, 0, 0), (0.3, -0.2, 0), 0.55), ((0.3, 0.1, 0), (1.3, 0.15, 0), 0.3)]


def hips(rng: np.random.Generator) -> Parts:
    """Pelvis, both hips, loins."""
    bones: list[Rod] = [((z, 0.15, 0), (z + 0.08, 0.15, 0), 0.12) for z in np.arange(-1.2, -0.2, 0.22)]
    bones += [((-0.25, 0.25, 0), (0.1, 0.35, 0), 0.15)]
    for side in (-1, 1):
        rim = [(-0.2, 0.3, 0.15), (-0.5, 0.1, 0.5), (-0.3, -0.15, 0.65), (0.0, -0.1, 0.5), (0.2, -0.15, 0.1)]
        rim += [(0.45, 0.05, 0.25), (0.25, 0.1, 0.4), (0.0, -0.1, 0.5), (-0.2, 0.2, 0.3), (-0.4, 0.0, 0.45)]
        points = [(z, y, side * x) for z, y, x in rim]
        bones += [(start, end, 0.07) for start, end in pairwise(points)]
        bones += [
            ((0.05, -0.05, side * 0.52), (0.2, 0, side * 0.75), 0.1),
            ((0.2, 0, side * 0.76), (1.3, 0, side * 0.65), 0.11),
        ]
    thick = rng.uniform(0.4, 0.55)
    flesh: list[Rod] = [((-1.3, 0, x), (0.1, 0, x), thick) for x in (-0.35, 0, 0.35)]
    return bones, [*flesh, *(((0, 0, side * 0.55), (1.3, 0, side * 0.6), 0.36) for side in (-1, 1))]


def spine(rng: np.random.Generator) -> Parts:
    """A part of the spine with arches, bent two ways."""
    thick, (right, front) = rng.uniform(0.12, 0.22), rng.normal(0, 0.15, 2)
    bones: list[Rod] = []
    for z in np.arange(-1, 1, 1.5 * thick):
        x, y = right * np.cos(2 * z), front * np.cos(2 * z)
        bones += [((z, y, x), (z + 0.5 * thick, y, x), thick), ((z, y + 0.15, x), (z + 0.1, y + 0.4, x), 0.05)]
        bones += [((z, y + 0.12, x), (z, y + 0.15, x + side * 2 * thick), 0.05) for side in (-1, 1)]
    return bones, [((-1.3, 0, x), (1.3, 0, x), rng.uniform(0.35, 0.6)) for x in (-0.2, 0.2)]


PARTS: Mapping[str, Callable[[np.random.Generator], Parts]] = {
    "hand": fingers, "knee": leg, "skull": head, "hips": hips, "spine": spine,
}  # fmt: skip


def turned(volume: Volume, rng: np.random.Generator, axis: int) -> Volume:
    """Turn a solid about its long axis by quarters, and mirror it."""
    volume = np.rot90(volume, int(rng.integers(4)) if axis else 0, (1, 2))
    return volume[..., :: rng.choice([-1, 1])]


def seen_through(part: str) -> Iterator[Picture]:
    """Give radiographs of a body part: grain, uneven light, shutters on every second one."""
    rng = np.random.default_rng(11)
    for number in range(PER_KIND):
        volume = turned(filled(PARTS[part](rng), rng.uniform(0.03, 0.06)), rng, number % 2)
        dose = np.exp(-rng.uniform(0.15, 0.4) * volume.sum(axis=1, dtype=np.float64))
        film = zoom(-np.log(dose + rng.uniform(0.02, 0.2)), 5, order=1)
        film = gaussian_filter(film, rng.uniform(1, 3)) + rng.uniform(0, 0.03) * np.ptp(film) * rng.normal(
            size=film.shape
        )
        if number % 2:
            edge = int(rng.uniform(0.02, 0.15) * len(film))
            film[:edge] = film[-edge:] = film[:, :edge] = film[:, -edge:] = film.min()
        yield levels(np.clip(film, *np.quantile(film, [0.01, 0.995])))


def cut_through() -> Iterator[Picture]:
    """Give slices of all body parts: each tissue of any grey, noise, a round field on every second one."""
    rng = np.random.default_rng(12)
    rows, columns = np.indices((5 * VOXELS,) * 2) / (2.5 * VOXELS) - 1
    for number in range(2 * PER_KIND):
        part = list(PARTS)[number % len(PARTS)]
        volume = np.moveaxis(filled(PARTS[part](rng), rng.uniform(0.03, 0.06)), number % 3, 0)
        tissues = [
            (0.0, 0.0),
            (FLESH, rng.uniform(0.2, 0.7)),
            (MARROW, rng.uniform(0.3, 1)),
            (BONE, rng.choice([0.02, 1.0])),
        ]
        grey = np.interp(volume[rng.integers(VOXELS // 3, 2 * VOXELS // 3)], *zip(*tissues, strict=True))
        cut = gaussian_filter(zoom(grey, 5, order=1), rng.uniform(1, 3))
        cut = np.clip(cut + rng.uniform(0.01, 0.1) * gaussian_filter(rng.normal(size=cut.shape), 1) * 3, 0, 1)
        yield levels(np.where((np.hypot(rows, columns) < 1) | (number % 2 == 0), cut, 0))
