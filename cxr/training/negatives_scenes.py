"""Scenes with the statistics of photographs. Each draws uint8 (side, side)."""

import numpy as np
from PIL import Image, ImageDraw

from cxr.planes import Plane
from cxr.training.negatives_outlines import as_image, half_plane, light, mask, outline, soft, texture
from cxr.training.negatives_patterns import Lots, finished, grid, spectrum


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
