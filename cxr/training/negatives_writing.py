"""Pages and screens: text in Pillow's own font, boxes, pictures within. Each draws uint8 (side, side)."""

import string

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from cxr.planes import Plane
from cxr.training.negatives_patterns import Lots, finished, spectrum

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
