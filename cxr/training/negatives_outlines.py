"""What drawn scenes and bodies are put together of: surfaces, outlines, light."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from cxr.training.negatives_patterns import Field, Lots, grid, spectrum


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


def light(rng: Lots, side: int) -> Field:
    """Return light from one side, about -1 to 1."""
    rows, columns = grid(side)
    angle = rng.uniform(0, 2 * np.pi)
    return np.asarray(np.cos(angle) * (rows - 0.5) + np.sin(angle) * (columns - 0.5)) * 2


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
