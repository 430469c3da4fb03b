"""Other parts of bodies than the chest. Each draws uint8 (side, side)."""

import numpy as np

from cxr.planes import Plane
from cxr.training.negatives_outlines import as_image, soft
from cxr.training.negatives_patterns import Field, Lots, finished, grid, spectrum


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
