"""Pictures that are no chest radiographs, drawn: what the gate learns to reject. Each kind is drawn by one function."""

import string
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from cxr.core.image import Plane
from cxr.training import gate_bodies
from cxr.training.gate_drawing import Field, Lots, finished, grid, light, spectrum


def noise(rng: Lots, side: int) -> Plane:
    """Draw noise of a colour from blue over white to brown."""
    return finished(spectrum(rng, side, rng.uniform(-0.5, 1.2)), rng)


def gradient(rng: Lots, side: int) -> Plane:
    """Draw one to three gradients, straight or round, with a little noise."""
    rows, columns = grid(side)
    total = np.zeros((side, side))
    for _ in range(rng.integers(1, 4)):
        angle, (y, x) = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 1.3, 2)
        straight = np.cos(angle) * columns + np.sin(angle) * rows
        total += (straight if rng.random() < 0.5 else np.hypot(rows - y, columns - x)) * rng.normal()
    return finished(total + rng.normal(0, rng.uniform(0, 0.1), total.shape), rng)


def stripes(rng: Lots, side: int) -> Plane:
    """Draw a grating, sharp or soft, sometimes with a growing frequency or a second direction."""
    rows, columns = grid(side)
    total = np.zeros((side, side))
    for _ in range(rng.integers(1, 3)):
        angle, frequency = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(1.5), np.log(25)))
        along = np.cos(angle) * columns + np.sin(angle) * rows
        wave = np.sin(2 * np.pi * frequency * along * (1 + rng.uniform(-0.5, 0.5) * along) + rng.uniform(0, 6))
        total += np.sign(wave) if rng.random() < 0.5 else wave
    return finished(total + rng.normal(0, rng.uniform(0, 0.3), total.shape), rng)


def checker(rng: Lots, side: int) -> Plane:
    """Draw a chessboard, turned by any angle, with one grey or several."""
    rows, columns = grid(side)
    angle, cells = rng.uniform(0, np.pi / 2) * rng.integers(0, 2), rng.integers(2, 17)
    across = np.floor(cells * (np.cos(angle) * columns + np.sin(angle) * rows) + rng.random()).astype(int)
    down = np.floor(cells * (np.cos(angle) * rows - np.sin(angle) * columns) + rng.random()).astype(int)
    greys = rng.random((64, 64)) if rng.random() < 0.4 else np.indices((64, 64)).sum(axis=0) % 2
    return finished(greys[down % 64, across % 64] + rng.normal(0, rng.uniform(0, 0.2), rows.shape), rng)


def blobs(rng: Lots, side: int) -> Plane:
    """Draw soft spots, or a smooth field cut at a level, as cells under a microscope."""
    if rng.random() < 0.5:
        smooth = blurred(rng.normal(size=(side, side)), rng.uniform(1, 8))
        level = np.quantile(smooth, rng.uniform(0.3, 0.8))
        return finished((smooth > level) + rng.uniform(0, 0.5) * spectrum(rng, side, 0.5), rng)
    rows, columns = grid(side)
    total = np.zeros((side, side))
    for _ in range(rng.integers(3, 60)):
        (y, x), width = rng.random(2), rng.uniform(0.01, 0.12)
        total += rng.normal(0.5, 1) * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2))
    return finished(total, rng)


def blurred(field: Field, radius: float) -> Field:
    """Return a field, not of one value alone, from 0 to 1, blurred by a Gaussian of `radius` pixels."""
    low, high = field.min(), field.max()
    # Pillow filters 8-bit pictures alone.
    image = Image.fromarray(np.rint((field - low) * (255 / (high - low))).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float64) / 255


def texture(rng: Lots, side: int) -> Field:
    """Return one surface: a grey, a field of any roughness, or fine stripes."""
    total = np.full((side, side), rng.random())
    if rng.random() < 0.7:
        total = total + rng.uniform(0.02, 0.3) * spectrum(rng, side, rng.uniform(0.3, 1.8))
    if rng.random() < 0.2:
        rows, columns = grid(side)
        angle, frequency = rng.uniform(0, np.pi), rng.uniform(4, 30)
        total += 0.2 * np.sin(2 * np.pi * frequency * (np.cos(angle) * rows + np.sin(angle) * columns))
    return total


def half_plane(rng: Lots, side: int) -> Field:
    """Return 1 on one side of a straight line, 0 on the other."""
    rows, columns = grid(side)
    angle = rng.uniform(0, 2 * np.pi)
    beyond = np.cos(angle) * (rows - rng.random()) + np.sin(angle) * (columns - rng.random()) > 0
    return np.asarray(beyond, np.float64)


def outline(rng: Lots, side: int, size: float, centre: Field | None = None) -> list[tuple[float, float]]:
    """Return a polygon of 3 to 30 corners, from a triangle to a wavy disk, of about `size` of the side."""
    corners = int(rng.choice([3, 4, 4, 5, 8, 30]))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners)) if corners < 8 else np.linspace(0, 2 * np.pi, corners, False)
    radii = size * (1 + (0.4 if corners < 30 else 0.1) * rng.uniform(-1, 1, corners))
    y, x = rng.random(2) if centre is None else centre
    stretch = rng.uniform(0.4, 1)
    return [
        (side * (x + radius * np.cos(angle)), side * (y + stretch * radius * np.sin(angle)))
        for radius, angle in zip(radii, angles, strict=True)
    ]


def mask(outline: list[tuple[float, float]], side: int) -> NDArray[np.bool_]:
    """Return where a polygon is, bool (side, side)."""
    image = Image.new("L", (side, side), 0)
    ImageDraw.Draw(image).polygon(outline, fill=255)
    return np.asarray(image) > 0


def as_image(total: Field) -> Image.Image:
    """Return a picture of all grey levels."""
    low, high = np.quantile(total, [0.002, 0.998])
    return Image.fromarray(np.rint(255 * np.clip((total - low) / max(high - low, 1e-9), 0, 1)).astype(np.uint8))


def soft(image: Image.Image, rng: Lots) -> Field:
    """Return what a picture shows, 0 to 255, somewhat blurred."""
    return np.asarray(image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.5))), np.float64)


def ellipses(rng: Lots, side: int) -> Plane:
    """Draw nested ellipses on black, as a slice through a head, a belly or a single organ shows."""
    rows, columns = grid(side)
    total = np.zeros((side, side))
    (y, x), outer, turned = rng.uniform(0.4, 0.6, 2), rng.uniform(0.2, 0.5, 2), rng.uniform(0, np.pi)
    bright = rng.uniform(0.3, 1)
    total += bright * _ellipse(rows - y, columns - x, outer, turned)
    total -= rng.uniform(0.2, 0.9) * bright * _ellipse(rows - y, columns - x, outer * rng.uniform(0.75, 0.97), turned)
    for _ in range(rng.integers(1, 14)):
        dy, dx = rng.normal(0, 0.35, 2) * outer
        inner = outer * rng.uniform(0.05, 0.5, 2)
        inside = _ellipse(rows - y - dy, columns - x - dx, inner, rng.uniform(0, np.pi))
        total += rng.normal(0, 0.4) * inside * (total > 0)
    total = np.clip(total, 0, 1.2) * (1 + rng.uniform(0, 0.3) * spectrum(rng, side, rng.uniform(0, 1.2)))
    return finished(soft(as_image(total), rng), rng)


def bones(rng: Lots, side: int) -> Plane:
    """Draw long bones with soft tissue about them on black: a limb or a hand, no chest."""
    total, angle = np.zeros((side, side)), rng.uniform(0, np.pi)
    for _ in range(rng.integers(1, 7)):
        start, length = rng.uniform(0.2, 0.8, 2), rng.uniform(0.2, 0.9)
        leaning = angle + rng.normal(0, 0.25)
        end = start + length * np.array([np.sin(leaning), np.cos(leaning)])
        away, width = _distance_to(start, end, side), rng.uniform(0.02, 0.08)
        total += 0.35 * np.clip(1 - (away / (width * rng.uniform(2, 5))) ** 2, 0, 1) ** 0.5
        total += 0.5 * (away < width) - 0.2 * np.clip(1 - (away / (0.7 * width)) ** 2, 0, 1) ** 0.5
    return finished(soft(as_image(total * (1 + 0.1 * spectrum(rng, side, 0.8))), rng), rng)


def _ellipse(rows: Field, columns: Field, radii: Field, angle: float) -> Field:
    along, across = np.cos(angle) * rows + np.sin(angle) * columns, np.cos(angle) * columns - np.sin(angle) * rows
    return np.asarray((along / radii[0]) ** 2 + (across / radii[1]) ** 2 < 1, np.float64)


def _distance_to(start: Field, end: Field, side: int) -> Field:
    """Return the distance of each pixel from a line from `start` to `end` (row, column), shares of the side."""
    rows, columns = grid(side)
    direction = end - start
    along = ((rows - start[0]) * direction[0] + (columns - start[1]) * direction[1]) / (direction @ direction)
    along = np.clip(along, 0, 1)
    return np.asarray(np.hypot(rows - start[0] - along * direction[0], columns - start[1] - along * direction[1]))


def shuffled(rng: Lots, side: int, planes: Plane) -> Plane:
    """Cut a radiograph into 4 to 36 squares and lay them in another order, some turned."""
    cells = int(rng.integers(2, 7))
    size = -(-side // cells)
    plane = _resized(_one(rng, planes), size * cells)
    squares = plane.reshape(cells, size, cells, size).swapaxes(1, 2).reshape(-1, size, size)
    order = rng.permutation(len(squares))
    while np.mean(order == np.arange(len(order))) > 0.3:
        order = rng.permutation(len(squares))
    turned = [np.rot90(squares[number], int(rng.choice([0, 0, 0, 0, 1, 2, 3]))) for number in order]
    return _resized(np.block([turned[row * cells : (row + 1) * cells] for row in range(cells)]), side)


def tiled(rng: Lots, side: int, planes: Plane) -> Plane:
    """Lay 2 to 16 radiographs beside each other, with or without gaps."""
    down, across = 1, 1
    while down * across < 2:
        down, across = (int(number) for number in rng.integers(1, 5, 2))
    gap, grey = int(rng.integers(0, 5)), int(rng.choice([0, 128, 255]))
    height, width = max(side // down, 8), max(side // across, 8)
    whole = np.full((down * height, across * width), grey, np.uint8)
    for row, column in np.ndindex(down, across):
        tile = Image.fromarray(_one(rng, planes)).resize((max(width - gap, 4), max(height - gap, 4)))
        top, left = row * height, column * width
        whole[top : top + tile.height, left : left + tile.width] = np.asarray(tile)
    return _resized(whole, side)


def scrambled(rng: Lots, side: int, planes: Plane) -> Plane:
    """Keep a radiograph's frequencies and draw their phases: its texture without its anatomy."""
    amplitude = np.abs(np.fft.rfft2(_one(rng, planes).astype(np.float64)))
    phase = np.angle(np.fft.rfft2(rng.normal(size=(side, side))))
    return finished(np.fft.irfft2(amplitude * np.exp(1j * phase), (side, side)), rng)


def photographed(rng: Lots, side: int, planes: Plane) -> Plane:
    """Photograph a radiograph on a screen, a light box or a wall, from aslant: frame, glare, moire, uneven light."""
    wide = side * LARGER
    room = texture(rng, wide) * rng.uniform(0.1, 1) + rng.uniform(0, 0.5) * light(rng, wide)
    for _ in range(rng.integers(0, 6)):
        room = np.where(mask(outline(rng, wide, rng.uniform(0.1, 0.5)), wide), texture(rng, wide), room)
    reach, middle = rng.uniform(0.2, 0.4), rng.uniform(0.38, 0.62, 2)
    corners = middle + reach * (np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)]) + rng.normal(0, 0.12, (4, 2)))
    frame = middle + (corners - middle) * rng.uniform(1, 1.5, 2)
    film = _one(rng, planes)
    if rng.random() < 0.3:
        film = np.asarray(np.concatenate([film, _one(rng, planes)], axis=1))
    seen = np.asarray(_aslant(film, corners * wide, wide), np.float64) / 255
    if rng.random() < 0.4:
        rows, columns = grid(wide)
        seen = seen * (1 + 0.15 * np.sin(rng.uniform(100, 700) * columns + rng.uniform(-200, 200) * rows))
    total = np.where(mask(_corners(frame, wide), wide), rng.choice([0.02, 0.1, rng.random(), 1.0]), room)
    total = np.where(mask(_corners(corners, wide), wide), rng.uniform(0, 0.3) + rng.uniform(0.5, 1) * seen, total)
    for _ in range(rng.integers(0, 3)):
        spot = mask(outline(rng, wide, rng.uniform(0.02, 0.15)), wide)
        total = total + rng.uniform(0.1, 0.6) * blurred(np.where(spot, 1.0, 0.0) + 1e-6 * light(rng, wide), wide / 60)
    return _scanned(as_image(total + rng.uniform(0, 0.2) * light(rng, wide)), rng, side)


def _corners(places: Field, wide: int) -> list[tuple[float, float]]:
    return [(float(x) * wide, float(y) * wide) for x, y in places]


def _aslant(film: Plane, corners: Field, wide: int) -> Image.Image:
    """Lay a film's corners, from the upper left against the clock, onto `corners` (x, y) of a square picture."""
    height, width = film.shape
    rows, values = [], []
    for (x, y), (u, v) in zip(corners, ((0, 0), (0, height), (width, height), (width, 0)), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    back = tuple(float(number) for number in np.linalg.solve(np.array(rows), np.array(values)))
    warp = Image.Transform.PERSPECTIVE, back, Image.Resampling.BILINEAR
    return Image.fromarray(film).transform((wide, wide), *warp)


def _one(rng: Lots, planes: Plane) -> Plane:
    return np.asarray(planes[rng.integers(len(planes))])


def _resized(plane: Plane, side: int) -> Plane:
    return np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BILINEAR))


def field(rng: Lots, side: int) -> Plane:
    """Draw a field like clouds, bark or water, with some straight edges where its level jumps."""
    total = spectrum(rng, side, rng.uniform(0.6, 1.8))
    for _ in range(rng.integers(0, 5)):
        total = total + rng.normal(0, 1) * half_plane(rng, side)
    return finished(total, rng)


def shapes(rng: Lots, side: int) -> Plane:
    """Draw a few plain polygons and disks on a plain or shaded ground."""
    image = Image.new("L", (side, side), int(rng.integers(0, 256)))
    for _ in range(rng.integers(2, 12)):
        ImageDraw.Draw(image).polygon(outline(rng, side, rng.uniform(0.05, 0.5)), fill=int(rng.integers(0, 256)))
    return finished(soft(image, rng) + rng.uniform(0, 40) * light(rng, side), rng)


def leaves(rng: Lots, side: int) -> Plane:
    """Draw textured things that hide each other, small ones more often (Lee et al. 2001), under uneven light."""
    textures = [texture(rng, side) for _ in range(5)]
    total = textures[0]
    for _ in range(rng.integers(15, 120)):
        size = min(0.03 / (1 - rng.random()) ** 0.6, 0.6)
        inside = mask(outline(rng, side, size), side)
        total = np.where(inside, rng.normal(0, 0.5) + textures[rng.integers(5)], total)
    return finished(soft(as_image(total), rng) * (1 + 0.5 * light(rng, side)), rng)


def landscape(rng: Lots, side: int) -> Plane:
    """Draw sky over ground with things that stand on it: light from above, texture below."""
    rows, columns = grid(side)
    horizon = rng.uniform(0.2, 0.8) + 0.1 * rng.random() * spectrum(rng, side, 1.5)[0][None, :]
    total = np.where(rows < horizon, 0.8 + 0.1 * spectrum(rng, side, 1.5), texture(rng, side))
    for _ in range(rng.integers(0, 9)):
        left, width, top = rng.uniform(-0.1, 1), rng.uniform(0.02, 0.3), rng.uniform(0, 0.8)
        inside = (columns > left) & (columns < left + width) & (rows > top) & (rows < rng.uniform(0.6, 1))
        total = np.where(inside, texture(rng, side), total)
    return finished(soft(as_image(total), rng), rng)


def figure(rng: Lots, side: int) -> Plane:
    """Draw one large thing before a ground, with parts and shading of its own: a head, an animal, a cup."""
    total = soft(as_image(texture(rng, side)), rng) / 255
    centre, size = rng.uniform(0.3, 0.7, 2), rng.uniform(0.2, 0.45)
    for number in range(rng.integers(2, 10)):
        part = size if number == 0 else size * rng.uniform(0.1, 0.8)
        place = centre if number == 0 else centre + rng.normal(0, size / 1.5, 2)
        inside = mask(outline(rng, side, part, place), side)
        total = np.where(inside, 0.6 * texture(rng, side) + 0.4 * light(rng, side), total)
    return finished(soft(as_image(total), rng), rng)


LETTERS = np.array(list(string.ascii_letters + string.digits + "     .,;:-()"))
LARGER = 2  # drawn so many times larger, and then made smaller: smooth edges


def text(rng: Lots, side: int) -> Plane:
    """Draw a page of lines, dark on light or light on dark, sometimes in columns, uneven paper, slightly turned."""
    ink, paper = _inks(rng)
    page = Image.new("L", (side * LARGER, side * LARGER), paper)
    size = int(np.exp(rng.uniform(np.log(6), np.log(60))))
    _write(ImageDraw.Draw(page), rng, (0, 0, page.width, page.height), size, ink)
    page = page.rotate(rng.normal(0, 3), Image.Resampling.BILINEAR, fillcolor=paper)
    return _scanned(page, rng, side)


def screenshot(rng: Lots, side: int, planes: Plane) -> Plane:
    """Draw windows: bars, boxes with and without text, and sometimes a radiograph within."""
    screen = Image.new("L", (side * LARGER, side * LARGER), int(rng.integers(0, 256)))
    pen = ImageDraw.Draw(screen)
    for _ in range(rng.integers(3, 14)):
        x, y = (int(place) for place in rng.integers(-20, screen.width - 20, 2))
        width, height = (int(size) for size in rng.integers(15, screen.width, 2) // rng.choice([1, 1, 3]))
        ink, paper = _inks(rng)
        pen.rectangle((x, y, x + width, y + height), fill=paper, outline=ink if rng.random() < 0.6 else None)
        if rng.random() < 0.5:
            _write(pen, rng, (x + 3, y + 3, x + width, y + height), int(rng.integers(6, 18)), ink)
    if rng.random() < 0.4:
        small = int(screen.width * rng.uniform(0.2, 0.5))
        film = Image.fromarray(planes[rng.integers(len(planes))]).resize((small, small))
        left, top = (int(place) for place in rng.integers(0, screen.width - small, 2))
        screen.paste(film, (left, top))
    return _scanned(screen, rng, side)


def _write(pen: ImageDraw.ImageDraw, rng: Lots, box: tuple[int, int, int, int], size: int, ink: int) -> None:
    """Fill a box (left, top, right, bottom) with lines of random words."""
    font, (left, top, right, bottom) = ImageFont.load_default(size), box
    margin = int(rng.integers(0, max((right - left) // 8, 1)))
    for y in range(top + int(rng.integers(0, size + 1)), bottom - size, int(size * rng.uniform(1.1, 2))):
        letters = int((right - left - 2 * margin) / (0.55 * size) * rng.choice([1, 1, 1, 0.5, 0.2]))
        if letters > 0 and rng.random() < 0.95:
            pen.text((left + margin, y), "".join(rng.choice(LETTERS, letters)), fill=ink, font=font)


def _inks(rng: Lots) -> tuple[int, int]:
    light, dark = int(rng.integers(150, 256)), int(rng.integers(0, 100))
    return (light, dark) if rng.random() < 0.4 else (dark, light)


def _scanned(page: Image.Image, rng: Lots, side: int) -> Plane:
    blurred = page.filter(ImageFilter.GaussianBlur(rng.uniform(0, 2)))
    small = np.asarray(blurred.resize((side, side), Image.Resampling.BILINEAR), np.float64)
    return finished(small + rng.uniform(0, 30) * spectrum(rng, side, rng.uniform(0.5, 1.5)), rng)


# From lots and the side in pixels to uint8 (side, side).
DRAWN: Mapping[str, Callable[[Lots, int], Plane]] = {
    "noise": noise,
    "gradient": gradient,
    "stripes": stripes,
    "checker": checker,
    "blobs": blobs,
    "field": field,
    "shapes": shapes,
    "leaves": leaves,
    "landscape": landscape,
    "figure": figure,
    "ellipses": ellipses,
    "bones": bones,
    "text": text,
    **{name: partial(gate_bodies.radiograph, body) for name, body in gate_bodies.BODIES.items()},
    **{f"ct {part}": partial(gate_bodies.ct, part) for part in gate_bodies.CUTS},
    "mr": gate_bodies.mr,
    "ultrasound": gate_bodies.ultrasound,
    "mammogram": gate_bodies.mammogram,
}
# The same, from some radiographs besides, uint8 (n, side, side).
MADE_OF_FILMS: Mapping[str, Callable[[Lots, int, Plane], Plane]] = {
    "screenshot": screenshot,
    "shuffled": shuffled,
    "tiled": tiled,
    "scrambled": scrambled,
    "photographed": photographed,
}
ENLARGED = "enlarged"  # any of DRAWN out of few pixels
KINDS = (*DRAWN, *MADE_OF_FILMS, ENLARGED)
FEWEST, MOST = 6, 32  # pixels of a side


def draw_negatives(count: int, planes: Plane, seed: int) -> tuple[Plane, list[str]]:
    """Draw `count` pictures, the kinds in turn; equal for equal arguments.

    Args:
        count: Of pictures.
        planes: uint8 (n, side, side), upright radiographs that some kinds are made of.
        seed: Of all lots.

    Returns:
        uint8 (count, side, side), and the kind of each.
    """
    kinds = [KINDS[number % len(KINDS)] for number in range(count)]
    return np.stack([_draw(kind, np.random.default_rng([seed, n]), planes) for n, kind in enumerate(kinds)]), kinds


def _draw(kind: str, rng: Lots, planes: Plane) -> Plane:
    side = planes.shape[1]
    if kind == ENLARGED:
        return _enlarged(rng, DRAWN[rng.choice(list(DRAWN))](rng, side))
    return DRAWN[kind](rng, side) if kind in DRAWN else MADE_OF_FILMS[kind](rng, side, planes)


def _enlarged(rng: Lots, picture: Plane) -> Plane:
    few = int(rng.integers(FEWEST, MOST))
    small = Image.fromarray(picture).resize((few, few), Image.Resampling.BOX)
    smooth = (Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)[rng.integers(3)]
    return np.asarray(small.resize(picture.shape[::-1], smooth))
