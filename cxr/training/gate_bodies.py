"""Medical pictures that are no chest radiographs, drawn: other body parts, slices, ultrasound, mammograms.

A body part is a table of tubes, lengths in half sides with y downwards, on a plane that each picture bends, turns and
shifts in its own way. Seen by X-rays a tube adds its chord; seen in a slice an ellipse covers what lay there before.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from cxr.core.image import Plane
from cxr.training.gate_drawing import Field, Lots, finished, grid, light, spectrum

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Tube:
    """A bone, or a part of the flesh: a round rod along a bent line.

    Attributes:
        line: Its points (x, y).
        radii: At each of the points.
    """

    line: Sequence[Point]
    radii: Sequence[float]


@dataclass(frozen=True, slots=True)
class Body:
    """What X-rays meet: they are weakened by flesh, more by bone, and less where there is gas."""

    bones: Sequence[Tube]
    flesh: Sequence[Tube]
    gas: Sequence[Tube] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """Where each pixel lies: x and y, float64 (side, side), -1 to 1 without the pose."""

    x: Field
    y: Field

    def met(self, tube: Tube, shell: float = 0.0) -> tuple[tuple[slice, slice], Field, Field]:
        """Return the rows and columns where a tube may lie, how far rays run through it there, and within its shell."""
        where = self._around(tube)
        x, y, outer, inner = self.x[where], self.y[where], *np.zeros((2, *self.x[where].shape))
        knots = list(zip(tube.line, tube.radii, strict=True))
        for ((left, top), thick), ((right, down), other) in pairwise(knots if len(knots) > 1 else 2 * knots):
            u, v = right - left, down - top
            along = np.clip(((x - left) * u + (y - top) * v) / max(u * u + v * v, 1e-9), 0, 1)
            away = (x - left - along * u) ** 2 + (y - top - along * v) ** 2
            radius = thick + along * (other - thick)
            outer = np.maximum(outer, 2 * np.sqrt(np.maximum(radius**2 - away, 0)))
            inner = np.maximum(inner, 2 * np.sqrt(np.maximum(np.maximum(radius - shell, 0.6 * radius) ** 2 - away, 0)))
        return where, outer, inner

    def _around(self, tube: Tube) -> tuple[slice, slice]:
        thick, (left, top), (right, down) = max(tube.radii), np.min(tube.line, axis=0), np.max(tube.line, axis=0)
        near = (self.x > left - thick) & (self.x < right + thick) & (self.y > top - thick) & (self.y < down + thick)
        rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        if not len(rows):
            return slice(0, 0), slice(0, 0)
        return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)

    def inside(self, middle: Point, radii: Point, turn: float = 0.0, power: float = 2.0) -> NDArray[np.bool_]:
        """Return where an ellipse is, with a higher power a rounded box, bool (side, side)."""
        x, y = self.x - middle[0], self.y - middle[1]
        across, along = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
        return np.asarray(np.abs(across / radii[0]) ** power + np.abs(along / radii[1]) ** power < 1)


def staged(rng: Lots, side: int, turn: float = 0.25, size: tuple[float, float] = (0.7, 1.6)) -> Stage:
    """Draw a pose: turned by about `turn` radians, larger or smaller within `size`, shifted, mirrored and bent."""
    rows, columns = grid(side)
    x, y, angle = 2 * columns - 1, 2 * rows - 1, rng.normal(0, turn)
    scale = 1 / np.exp(rng.uniform(*np.log(size)))
    right, down = rng.normal(0, 0.12, 2)
    u = scale * rng.uniform(0.85, 1.15) * (np.cos(angle) * (x - right) + np.sin(angle) * (y - down))
    v = scale * (np.cos(angle) * (y - down) - np.sin(angle) * (x - right))
    bent, (phase, wave) = rng.normal(0, 0.04, 2), rng.uniform(1, 3, 2)
    mirror = rng.choice([-1, 1])
    return Stage(mirror * (u + bent[0] * np.sin(wave * v + phase)), v + bent[1] * np.sin(wave * u + phase))


def radiograph(body: Callable[[Lots], Body], rng: Lots, side: int) -> Plane:
    """Expose a body part: absorption, scatter, grain, shutters, a letter of lead, any contrast curve."""
    stage, drawn = staged(rng, side), body(rng)
    hard, shell, marrow = rng.uniform(1.5, 5), rng.uniform(0.015, 0.04), rng.uniform(0.2, 0.7)
    depth = np.zeros_like(stage.x)
    for tube in drawn.flesh:
        where, outer, _ = stage.met(tube)
        depth[where] = np.maximum(depth[where], rng.uniform(0.3, 1.2) * outer)
    for tube in drawn.gas:
        where, outer, _ = stage.met(tube)
        depth[where] -= rng.uniform(0.5, 1.5) * outer
    cloudy = 1 + rng.uniform(0, 0.12) * spectrum(rng, side, rng.uniform(0.8, 1.6))
    for tube in drawn.bones:
        where, outer, inner = stage.met(tube, shell)
        within = marrow * min(1, 0.1 / max(tube.radii))  # the wider a bone, the emptier
        depth[where] += hard * (outer - (1 - within) * inner) * cloudy[where]
    depth += rng.choice([0, rng.uniform(0.01, 0.1)]) * spectrum(rng, side, rng.uniform(1, 1.8)) * (depth > 0.02)
    return _on_film(1 - np.exp(-rng.uniform(0.4, 1.5) * np.maximum(depth, 0)), rng, side)


def _on_film(luminance: Field, rng: Lots, side: int) -> Plane:
    """Return what a film or detector makes of what reaches it, 0 to 1."""
    seen = gaussian_filter(luminance, rng.uniform(0.2, 1.2) * side / 128)
    seen = seen + rng.uniform(0, 0.3) * gaussian_filter(luminance, side / 8) + rng.uniform(0, 0.12) * light(rng, side)
    seen = seen + rng.exponential(0.008) * spectrum(rng, side, rng.uniform(-0.2, 0.5))
    low, high = np.quantile(seen, [rng.uniform(0, 0.1), rng.uniform(0.93, 0.999)])
    seen = np.clip((seen - low) / max(high - low, 1e-6), 0, 1) ** np.exp(rng.normal(0, 0.4))
    if rng.random() < 0.4:
        seen = _shuttered(seen, rng, side)
    if rng.random() < 0.4:
        seen = np.maximum(seen, _lettering(rng, side, 1))
    return finished(seen, rng)


def _shuttered(seen: Field, rng: Lots, side: int) -> Field:
    """Cover what lies beyond the shutters: a box, somewhat turned, or a circle, black or white."""
    rows, columns = grid(side)
    field, angle = Stage(columns - 0.5, rows - 0.5), rng.normal(0, 0.1)
    power, radii = rng.choice([2.0, 20.0]), rng.uniform(0.3, 0.52, 2)
    radii = np.repeat(radii[:1], 2) if power == 2 else radii
    return np.where(field.inside((0, 0), (radii[0], radii[1]), angle, power), seen, rng.choice([0, 0, 0, 0.05, 1]))


def _lettering(rng: Lots, side: int, most: int) -> Field:
    """Return some bright letters near the corners and edges, 0 to 1."""
    image = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(1, most + 1)):
        size = int(rng.uniform(0.05, 0.12 if most == 1 else 0.06) * side) + 4
        word = "".join(rng.choice(list("LRPAW0123456789"), 1 if most == 1 else rng.integers(2, 9)))
        x, y = rng.choice([rng.uniform(0, 0.15), rng.uniform(0.7, 0.9)], 2) * side
        pen.text((x, y), word, fill=int(rng.integers(150, 256)), font=_font(size))
    return np.asarray(image, np.float64) / 255


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _along(start: Point, angle: float, lengths: Iterable[float]) -> list[Point]:
    """Return the ends of rods that follow one another from `start`; at an angle of nought they go up."""
    points = [start]
    for length in lengths:
        x, y = points[-1]
        points.append((x + length * np.sin(angle), y - length * np.cos(angle)))
    return points


def _rod(start: Point, end: Point, radius: float, knob: float = 1.5) -> Tube:
    """Return a long bone: slender between two thicker ends."""
    (x, y), (u, v) = start, end
    line = [(x + share * (u - x), y + share * (v - y)) for share in (0.02, 0.2, 0.8, 0.98)]
    return Tube(line, [knob * radius, radius, radius, knob * radius])


def _rays(rng: Lots, spread: float, lengths: Sequence[float], first: float) -> Body:
    """Draw five rays of bones with flesh about them; the outermost, of angle `first`, has a bone less."""
    bones, flesh, closed = [], [], rng.uniform(0.4, 1.2)
    for ray, long in enumerate((0.75, 0.95, 1.0, 0.95, 0.8)):
        angle = closed * (first if ray == 0 else spread * (ray - 2)) + rng.normal(0, 0.03)
        joints = _along(
            (0.11 * (ray - 2), 0.25), angle, [0.42 * long, *(long * length for length in lengths[ray == 0 :])]
        )
        bones += [_rod(a, b, 0.032 * rng.uniform(0.8, 1.2)) for a, b in pairwise(joints)]
        flesh.append(Tube(joints, [0.16, *[0.085] * (len(joints) - 1)]))
    return Body(bones, flesh)


def hand(rng: Lots) -> Body:
    """Draw a hand from the back: fingers, wrist, ends of the forearm."""
    rays, wrist = _rays(rng, 0.13, (0.28, 0.18, 0.12), -0.75), rng.normal(0, 0.02, (7, 2))
    carpals = [Tube([(0.1 * (n % 4) - 0.15 + x, 0.34 + 0.1 * (n // 4) + y)], [0.06]) for n, (x, y) in enumerate(wrist)]
    forearm = [_rod((-0.1, 0.52), (-0.12, 1.8), 0.075, 1.6), _rod((0.12, 0.53), (0.13, 1.8), 0.06, 1.2)]
    return Body([*rays.bones, *carpals, *forearm], [*rays.flesh, Tube([(0, 0.1), (0, 0.5), (0, 2)], [0.28, 0.2, 0.3])])


def foot(rng: Lots) -> Body:
    """Draw a foot from above, or from the side: toes, tarsus, heel."""
    rays = _rays(rng, 0.08, (0.16, 0.08, 0.07), -0.12)
    tarsus = [Tube([(0.1 * (n % 3) - 0.1, 0.34 + 0.13 * (n // 3))], [0.08]) for n in range(6)]
    heel = Tube([(0, 0.6), (rng.uniform(-0.5, 0.1), 0.85)], [0.14, 0.17])
    leg = [_rod((0, 0.5), (rng.uniform(0, 1.5), rng.uniform(0.9, 2)), 0.11)] if rng.random() < 0.6 else []
    return Body([*rays.bones, *tarsus, heel, *leg], [*rays.flesh, Tube([(0, 0.2), (0, 0.9)], [0.28, 0.25]), *leg])


def joint(rng: Lots) -> Body:
    """Draw knee, elbow, ankle or shoulder: long bones that meet at any angle, a thin one beside, a small one before."""
    bend, thick, heads = (
        rng.choice([rng.normal(0, 0.08), rng.uniform(0.4, 2)]),
        rng.uniform(0.1, 0.17),
        rng.uniform(1.4, 2.1),
    )
    upper, lower = (0.0, -2.0), (2 * np.sin(bend), 2 * np.cos(bend))
    bones = [_rod((0, -0.08), upper, thick, heads), _rod((0.1 * np.sin(bend), 0.13), lower, thick, heads)]
    for side in (-1, 1):
        bones.append(Tube([(side * 0.6 * heads * thick, -0.06)], [0.75 * heads * thick]))
    if rng.random() < 0.7:
        beside = rng.choice([-1, 1]) * 1.9 * thick
        bones.append(_rod((beside, 0.25), (lower[0] + beside, lower[1]), 0.45 * thick))
    if rng.random() < 0.6:
        bones.append(Tube([(rng.choice([0, -2.3, 2.3]) * thick, -0.15), (0, -0.25)], [0.09, 0.09]))
    wide = rng.uniform(1.9, 3)
    return Body(bones, [Tube([upper, (0, 0), lower], [wide * thick * 1.3, wide * thick, wide * thick * 1.1])])


def pelvis(rng: Lots) -> Body:
    """Draw pelvis and hips, both or one: wings, sacrum, rings, heads and shafts of the thigh bones."""
    bones, wide = [*_vertebrae(rng, (0, -0.3), (0, -1.3), 0.13)], rng.uniform(0.9, 1.1)
    for side in (-wide, wide):
        turn = 0.35 * side
        wing = [
            (side * x, y)
            for x, y in ((0.12, -0.25), (0.3, -0.62), (0.62, -0.6), (0.72, -0.35), (0.5, -0.02), (0.2, -0.1))
        ]
        ring = [
            (side * x, y) for x, y in ((0.45, 0.05), (0.12, 0.22), (0.06, 0.35), (0.2, 0.55), (0.38, 0.42), (0.48, 0.1))
        ]
        bones += [Tube(wing, [0.05] * 6), Tube([(side * 0.42, -0.35)], [0.2]), Tube(ring, [0.055] * 6)]
        neck = [(side * 0.52, 0.1), (side * 0.78, 0.2), (side * (0.76 + 0.1 * turn), 1.8)]
        bones += [
            Tube(neck, [0.09, 0.11, 0.1]),
            Tube([(side * 0.52, 0.1)], [0.14]),
            Tube([(side * 0.86, 0.14)], [0.08]),
        ]
    gas = _bowels(rng, int(rng.integers(0, 6)), (0.6, 0.6))
    sacrum = Tube([(0, -0.3), (0, 0.1)], [0.18, 0.06])
    return Body([*bones, sacrum], [Tube([(0, -1.5), (0, 0.2)], [0.9, 1.0]), *_legs()], gas)


def _legs() -> list[Tube]:
    return [Tube([(side * 0.55, 0.1), (side * 0.6, 1.9)], [0.5, 0.42]) for side in (-1, 1)]


def _bowels(rng: Lots, count: int, reach: Point) -> list[Tube]:
    return [
        Tube(_along((x, y), rng.uniform(0, 6), rng.uniform(0.05, 0.3, 3)), rng.uniform(0.03, 0.13, 4).tolist())
        for x, y in rng.normal(0, 0.6, (count, 2)) * reach
    ]


def _vertebrae(rng: Lots, start: Point, end: Point, radius: float) -> list[Tube]:
    """Draw a chain of vertebrae, somewhat bent, with their arches."""
    count, bent = int(np.hypot(end[0] - start[0], end[1] - start[1]) / (1.5 * radius)), rng.normal(0, 0.08)
    tubes = []
    for n in range(count):
        share = (n + 0.5) / count
        x = start[0] + share * (end[0] - start[0]) + bent * np.sin(np.pi * share)
        y = start[1] + share * (end[1] - start[1])
        wide = 0.75 * radius
        tubes += [
            Tube([(x - wide, y), (x + wide, y)], [0.6 * radius] * 2),
            Tube([(x, y), (x, y + radius)], [0.2 * radius] * 2),
        ]
        tubes += [
            Tube([(x + side * radius, y), (x + side * 1.9 * radius, y)], [0.25 * radius, 0.12 * radius])
            for side in (-1, 1)
        ]
    return tubes


def spine(rng: Lots) -> Body:
    """Draw a part of the spine from the front or the side: neck or loins."""
    thick, wide = rng.uniform(0.12, 0.24), rng.uniform(0.3, 1.3)
    bones = _vertebrae(rng, (rng.normal(0, 0.15), -1.8), (rng.normal(0, 0.15), 1.8), thick)
    if rng.random() < 0.5:
        away = rng.uniform(0.18, 0.35)
        bones += [Tube([(away, y), (away + 0.25, y + 0.12)], [0.06, 0.05]) for y in np.arange(-1.5, 1.8, 1.5 * thick)]
    return Body(
        bones, [Tube([(0, -2), (rng.normal(0, 0.1), 2)], [wide, wide])], _bowels(rng, int(rng.integers(0, 5)), (1, 1))
    )


def abdomen(rng: Lots) -> Body:
    """Draw a belly: loins, the last ribs, wings of the pelvis, gas in the bowels."""
    hips, wide, thick = pelvis(rng), rng.uniform(0.85, 1.1), rng.uniform(0.1, 0.14)
    shift, curve = rng.uniform(0.55, 0.9), rng.uniform(0.1, 0.5)
    low = [Tube([(x, y + shift) for x, y in tube.line], tube.radii) for tube in hips.bones]
    ribs = [
        Tube([(side * x, y + curve * x) for x in (0.15, 0.4, 0.6, 0.75)], [0.03] * 4)
        for side in (-1, 1)
        for y in np.arange(-1.2, -0.4, 0.2)
    ]
    kidneys = [Tube([(side * 0.38, -0.3), (side * 0.45, 0.05)], [0.12, 0.12]) for side in (-1, 1)]
    bones = [*low, *ribs, *_vertebrae(rng, (0, -1.5), (0, shift - 0.3), thick)]
    return Body(
        bones, [Tube([(0, -1.8), (0, 1.8)], [wide, wide]), *kidneys], _bowels(rng, int(rng.integers(3, 22)), (1, 0.9))
    )


def skull(rng: Lots) -> Body:
    """Draw a head from the front or the side: vault, sockets, jaw, teeth, neck."""
    aside = rng.random() < 0.5
    vault = Tube([(-0.18, -0.25), (0.18, -0.2)] if aside else [(0, -0.3), (0, -0.15)], [0.55, 0.58])
    face = Tube([(0.4, 0.1), (0.35, 0.45)] if aside else [(0, 0.15), (0, 0.45)], [0.25, 0.2])
    middle = 0.3 if aside else 0.0
    jaw = [(middle - 0.3, 0.3), (middle - 0.22, 0.65), (middle, 0.78), (middle + 0.22, 0.65), (middle + 0.3, 0.3)]
    teeth = [Tube([(middle + x, 0.48), (middle + x, 0.64)], [0.025, 0.025]) for x in np.linspace(-0.16, 0.16, 9)]
    neck = _vertebrae(rng, (-0.15 * aside, 0.5), (-0.2 * aside, 1.8), 0.11)
    holes = [Tube([(0.42, -0.02)] if aside else [(side * 0.22, -0.02)], [0.14]) for side in (-1, 1)]
    holes += [Tube([(middle, 0.12), (middle, 0.28)], [0.04, 0.09])]
    return Body(
        [vault, face, Tube(jaw, [0.05] * 5), *teeth, *neck],
        [vault, face, Tube([(0, 0.4), (0, 1.9)], [0.35, 0.5])],
        holes,
    )


def teeth(rng: Lots) -> Body:
    """Draw a panorama of both jaws, or a few teeth large."""
    few, curve, bones = rng.random() < 0.35, rng.uniform(-0.1, 0.35), []
    shown = 5 if few else int(rng.integers(12, 17))
    for row in (-1, 1):
        for x in np.linspace(-0.85, 0.85, shown)[rng.random(shown) < 0.93]:
            y, wide, leaning = curve * (1 - x * x), 0.5 / shown * (1 + 0.5 * abs(x)), rng.normal(0, 0.03)
            line = [
                (x, y + 0.03 * row),
                (x + leaning, y + 0.16 * row),
                (x + 2 * leaning, y + row * rng.uniform(0.35, 0.5)),
            ]
            bones.append(Tube(line, [1.4 * wide, 1.4 * wide, 0.4 * wide]))
    for row in (-1, 1):
        line = [(x, curve * (1 - x * x) + row * 0.5 * (1 - 0.2 * x * x)) for x in np.linspace(-1, 1, 7)]
        bones.append(Tube(line, [rng.uniform(0.08, 0.2)] * 7))
    sides = [Tube([(side * 0.95, -0.7), (side * 1.05, 0.3)], [0.1, 0.16]) for side in (-1, 1)]
    return Body(
        [*bones, *([] if few else sides)], [Tube([(-1.2, 0.1), (1.2, 0.1)], [0.9, 0.9])], _bowels(rng, 1, (0.2, 0.2))
    )


BODIES: Mapping[str, Callable[[Lots], Body]] = {
    "hand": hand, "foot": foot, "joint": joint, "pelvis": pelvis, "spine": spine, "abdomen": abdomen, "skull": skull,
    "teeth": teeth,
}  # fmt: skip

# What a slice shows, from outside inwards: tissue, middle, radii, of how many beside each other (mirrored).
Cut = tuple[str, Point, Point, bool]
CUTS: Mapping[str, Sequence[Cut]] = {
    "head": (
        ("fat", (0, 0), (0.66, 0.82), False), ("bone", (0, 0), (0.62, 0.78), False),
        ("grey", (0, 0), (0.55, 0.71), False),
        ("white", (0.26, 0), (0.22, 0.5), True), ("water", (0.1, -0.12), (0.06, 0.22), True),
        ("grey", (0.2, 0.05), (0.09, 0.13), True),
        ("water", (0, 0.25), (0.04, 0.1), False), ("bone", (0, -0.74), (0.2, 0.06), False),
    ),
    "face": (
        ("fat", (0, 0), (0.6, 0.8), False), ("bone", (0, 0.2), (0.53, 0.55), False),
        ("grey", (0, 0.25), (0.46, 0.46), False),
        ("muscle", (0, -0.4), (0.42, 0.3), False), ("water", (0.25, -0.5), (0.15, 0.15), True),
        ("air", (0, -0.35), (0.08, 0.25), False),
        ("air", (0.2, -0.2), (0.12, 0.14), True), ("bone", (0.3, 0.05), (0.2, 0.09), True),
        ("bone", (0, -0.1), (0.15, 0.08), False),
    ),
    "thorax": (
        ("fat", (0, 0), (0.92, 0.66), False), ("muscle", (0, 0.02), (0.86, 0.6), False),
        ("lung", (0.42, 0), (0.36, 0.5), True),
        ("blood", (-0.1, -0.12), (0.3, 0.26), False), ("blood", (-0.08, 0.3), (0.09, 0.09), False),
        ("blood", (0.1, -0.2), (0.1, 0.1), False),
        ("air", (0, 0.08), (0.05, 0.06), False), ("bone", (0, 0.45), (0.13, 0.12), False),
        ("bone", (0, 0.62), (0.04, 0.1), False),
        ("bone", (0.55, 0.5), (0.2, 0.035), True), ("bone", (0, -0.56), (0.12, 0.04), False),
        ("bone", (0.8, 0.05), (0.025, 0.18), True),
    ),
    "abdomen": (
        ("fat", (0, 0), (0.94, 0.7), False), ("muscle", (0, 0.03), (0.8, 0.57), False),
        ("fat", (0, -0.05), (0.7, 0.46), False),
        ("organ", (-0.42, -0.08), (0.36, 0.36), False), ("organ", (0.55, 0.1), (0.16, 0.25), False),
        ("organ", (0.38, 0.25), (0.13, 0.16), True),
        ("air", (0.25, -0.25), (0.2, 0.1), False), ("muscle", (0.1, 0), (0.2, 0.1), False),
        ("water", (-0.25, -0.25), (0.09, 0.11), False),
        ("blood", (0.05, 0.18), (0.06, 0.06), True), ("bone", (0, 0.36), (0.14, 0.12), False),
        ("bone", (0, 0.56), (0.05, 0.12), False),
    ),
    "thighs": (
        ("fat", (0.45, 0), (0.42, 0.48), True), ("muscle", (0.45, 0), (0.34, 0.4), True),
        ("bone", (0.45, -0.02), (0.11, 0.11), True),
        ("marrow", (0.45, -0.02), (0.06, 0.06), True), ("blood", (0.3, 0.05), (0.03, 0.03), True),
    ),
    "spine": (
        ("fat", (0, 0), (0.8, 1.6), False), ("muscle", (0.35, 0), (0.25, 1.6), False),
        ("organ", (-0.45, 0), (0.3, 1.6), False),
        *(("marrow", (0, y), (0.16, 0.12), False) for y in np.arange(-1.35, 1.5, 0.3).tolist()),
        ("water", (0.24, 0), (0.07, 1.7), False), ("white", (0.24, -0.3), (0.035, 1.3), False),
    ),
}  # fmt: skip
HOUNSFIELD = {
    "air": -1000, "lung": -820, "fat": -90, "water": 5, "white": 28, "grey": 38, "muscle": 55, "organ": 80,
    "blood": 120, "marrow": 250, "bone": 900,
}  # fmt: skip
WINDOWS = ((-500, 1500), (40, 400), (60, 350), (35, 90), (400, 1800), (0, 2500))  # middle and width


def _cut(rng: Lots, stage: Stage, cuts: Sequence[Cut], levels: Mapping[str, float]) -> Field:
    """Fill a slice with the levels of its tissues, each shape moved and stretched by a little."""
    total = np.full_like(stage.x, levels["air"])
    body = np.zeros(stage.x.shape, np.bool_)
    for n, (tissue, middle, radii, mirrored) in enumerate(cuts):
        for mirror in (-1, 1) if mirrored else (1,):
            (right, down), (wide, high) = rng.normal(0, 0.02, 2), np.exp(rng.normal(0, 0.1, 2))
            place, size = (mirror * middle[0] + right, middle[1] + down), (radii[0] * wide, radii[1] * high)
            inside = stage.inside(place, size, rng.normal(0, 0.08), rng.uniform(1.7, 2.6))
            body = body | inside if n < 2 else body
            total = np.where(inside & body, levels[tissue] * (1 + 0.05 * rng.normal()), total)
    return total


def ct(part: str, rng: Lots, side: int) -> Plane:
    """Draw a slice of computed tomography: a window of Hounsfield units, a round field, a table, streaks."""
    total = _cut(rng, staged(rng, side, 0.08, (0.8, 1.3)), CUTS[part], HOUNSFIELD)
    rows, columns = grid(side)
    field = Stage(2 * columns - 1, 2 * rows - 1)
    if rng.random() < 0.5:
        table, below = rng.uniform(0.7, 1.1), rng.uniform(0.6, 0.95)
        arc = np.abs(field.y - below + 0.25 * field.x**2 * rng.uniform(0, 1)) < 0.015
        total = np.where(arc & (np.abs(field.x) < table) & (total < -500), 0, total)
    veins = (total < -600) & (total > -950) & (spectrum(rng, side, rng.uniform(0.4, 1)) > rng.uniform(1.2, 2))
    total = np.where(veins, 30, gaussian_filter(total, rng.uniform(0.2, 0.8) * side / 128))
    middle, width = WINDOWS[rng.integers(len(WINDOWS))]
    total = total + rng.exponential(0.04) * width * spectrum(rng, side, rng.uniform(-0.2, 0.6))
    if rng.random() < 0.6:
        total = np.where(field.inside((0, 0), (1, 1)), total, rng.choice([-3000, -1000, -1000, 0]))
    seen = np.clip((total - middle) / (width * rng.uniform(0.8, 1.3)) + 0.5, 0, 1)
    return _shown(seen, rng, side)


def mr(rng: Lots, side: int) -> Plane:
    """Draw a slice of magnetic resonance: any contrast of tissues, none of air and bone, brighter near the coil."""
    levels = dict.fromkeys(HOUNSFIELD, 0.0) | {name: rng.uniform(0.15, 1) for name in HOUNSFIELD}
    levels |= {"air": 0.0, "lung": 0.03, "bone": rng.uniform(0, 0.15)}
    total = _cut(rng, staged(rng, side, 0.12, (0.8, 1.4)), CUTS[rng.choice(list(CUTS))], levels)
    total = total * (1 + rng.uniform(0.05, 0.25) * spectrum(rng, side, rng.uniform(0.6, 1.4)))
    total = gaussian_filter(total * (1 + rng.uniform(0, 0.7) * light(rng, side)), rng.uniform(0.3, 1.2) * side / 128)
    noise = rng.uniform(0.005, 0.08) * rng.normal(size=(2, side, side))
    return _shown(np.hypot(total + noise[0], noise[1]), rng, side)


def ultrasound(rng: Lots, side: int) -> Plane:
    """Draw a fan or a box of speckle, with vessels and organs in it, weaker with depth, and writing about it."""
    rows, columns = grid(side)
    x, y, top = columns - 0.5, rows, rng.uniform(-0.5, 0.05)
    reach, opening = np.hypot(x, y - top), np.abs(np.arctan2(x, y - top))
    fan = (opening < rng.uniform(0.35, 0.9)) & (reach > max(0.03, 0.06 - top)) & (reach < rng.uniform(0.8, 1) - top)
    box = (np.abs(x) < rng.uniform(0.25, 0.48)) & (np.abs(y - 0.5) < rng.uniform(0.3, 0.46))
    window = fan if rng.random() < 0.75 else box
    stage, echo = Stage(2 * x, 2 * y - 1), np.exp(rng.uniform(0.2, 0.8) * spectrum(rng, side, rng.uniform(1, 1.8)))
    for _ in range(rng.integers(1, 8)):
        (right, down), (wide, high) = rng.uniform(-0.6, 0.6, 2), rng.uniform(0.05, 0.5, 2)
        inside = stage.inside((right, down), (wide, high), rng.uniform(0, 3))
        rim = inside ^ stage.inside((right, down), (0.9 * wide, 0.9 * high), rng.uniform(0, 3))
        echo = np.where(rim, rng.uniform(1, 3), np.where(inside, rng.choice([0.03, 0.3, 1.5]), echo))
    grains = gaussian_filter(rng.normal(size=(2, side, side)), (0, *(rng.uniform(0.4, 1.6, 2) * side / 128)))
    speckle = np.hypot(*grains) / grains.std()
    seen = np.log1p(rng.uniform(1, 20) * echo * speckle * np.exp(-rng.uniform(0, 2) * np.maximum(reach, 0)))
    return _shown(np.where(window, seen / np.quantile(seen[window], 0.99), rng.choice([0, 0, 0.06])), rng, side)


def mammogram(rng: Lots, side: int) -> Plane:
    """Draw a breast at an edge of the film: fat with strands and glands, a muscle in the corner."""
    stage, (wide, high) = staged(rng, side, 0.1, (0.8, 1.2)), rng.uniform(0.7, 1.2, 2)
    inside = stage.inside((-1, 0.1), (1.2 * wide, high), 0.0, rng.uniform(1.8, 2.6))
    depth = np.clip(gaussian_filter(inside.astype(np.float64), side / rng.uniform(10, 40)) * 2 - 1, 0, 1) ** 0.5
    glands = np.exp(rng.uniform(0.3, 1) * spectrum(rng, side, rng.uniform(1.1, 1.7)))
    glands = glands * np.exp(-((stage.x + 0.4) ** 2 + (stage.y - 0.1) ** 2) / rng.uniform(0.15, 0.6))
    muscle = stage.y + rng.uniform(1.2, 2.2) * (stage.x + 1) < rng.uniform(-0.7, 0.2)
    seen = depth * (rng.uniform(0.2, 0.5) + rng.uniform(0.1, 0.5) * glands + rng.uniform(0.1, 0.5) * muscle)
    return _shown(seen + rng.uniform(0, 0.02) * spectrum(rng, side, 0.3), rng, side)


def _shown(seen: Field, rng: Lots, side: int) -> Plane:
    """Return a picture, black where nothing is, as a scanner stores it: sometimes with writing at its edges."""
    if rng.random() < 0.3:
        seen = np.maximum(seen, _lettering(rng, side, 8) * seen.max())
    high = max(float(np.quantile(seen, rng.uniform(0.97, 1))), 1e-6)
    bright = np.clip(seen / high, 0, 1) ** np.exp(rng.normal(0, 0.25)) * rng.uniform(0.6, 1)
    return np.asarray(np.rint(255 * bright), np.uint8)
