"""The bones of a phantom: ribs, clavicles, scapulae and spine, as attenuation above the soft tissue's."""

import numpy as np
from numpy.typing import NDArray

from cxr.dataset.phantom_geometry import X, Y, soft

Field = NDArray[np.float64]
POSTERIOR_RIBS = 10
ANTERIOR_RIBS = 6


def draw_bones(width: float, apex: float, pitch: float, slope: float, density: float) -> Field:
    """Draw all bones on the canvas.

    Args:
        width: Distance from the midline to the lateral chest wall, in half film widths, as the other lengths.
        apex: y of the lung apices.
        pitch: Vertical distance of neighbouring ribs.
        slope: Fall of a posterior rib from the spine to the chest wall.
        density: Bone density relative to the average.

    Returns:
        Attenuation to add, float64 (CANVAS, CANVAS), 0 or more.
    """
    # One formula for both sides: the skeleton is symmetric, the pose is what turns it.
    lateral = np.abs(X)
    height = np.clip((0.75 - Y) / (0.75 - apex), 0, 1)
    wall = 0.14 + (width - 0.10) * (1 - height**2.6) ** 0.55
    ribs = _posterior_ribs(lateral, wall, apex, pitch, slope) + 0.55 * _anterior_ribs(lateral, wall, apex, pitch)
    return density * (0.13 * ribs + 0.15 * _clavicles(lateral, apex) + 0.07 * _scapulae(lateral) + _spine(pitch))


def _posterior_ribs(lateral: Field, wall: Field, apex: float, pitch: float, slope: float) -> Field:
    along = np.clip((lateral - 0.06) / (wall - 0.06), 0, 1.2)
    arc = slope * along**2.2 - 0.05 * np.sin(np.pi * np.minimum(along, 1))
    extent = soft(wall - lateral, 0.015) * soft(lateral - 0.05)
    ribs = np.zeros_like(lateral)
    for index in range(POSTERIOR_RIBS):
        ribs += _band(Y - (apex + 0.03 + pitch * index + arc), 0.028)
    return ribs * extent


def _anterior_ribs(lateral: Field, wall: Field, apex: float, pitch: float) -> Field:
    along = np.clip((lateral - 0.06) / (wall - 0.06), 0, 1.2)
    arc = 0.34 * np.maximum(1 - along, 0) ** 1.3
    # Cartilage is not seen: the anterior arcs stop well before the sternum.
    extent = soft(wall - lateral, 0.015) * soft(lateral - 0.30, 0.03)
    ribs = np.zeros_like(lateral)
    for index in range(ANTERIOR_RIBS):
        ribs += _band(Y - (apex + 0.12 + 1.25 * pitch * index + arc), 0.036)
    return ribs * extent


def _band(offset: Field, half_width: float) -> Field:
    """Return a rib's cross section: a faint middle and brighter cortex at both edges."""
    inside = soft(half_width - np.abs(offset), 0.006)
    cortex = np.exp(-0.5 * ((np.abs(offset) - 0.85 * half_width) / 0.007) ** 2)
    return 0.6 * inside + 0.5 * cortex


def _clavicles(lateral: Field, apex: float) -> Field:
    path = apex + 0.16 - 0.22 * lateral + 0.04 * np.sin(6 * lateral)
    return _band(Y - path, 0.04) * soft(lateral - 0.09) * soft(0.85 - lateral, 0.03)


def _scapulae(lateral: Field) -> Field:
    border = 0.80 - 0.16 * (Y + 0.45)
    return soft(lateral - border, 0.015) * soft(Y + 0.70, 0.03) * soft(0.05 - Y - 0.5 * (lateral - 0.72), 0.03)


def _spine(pitch: float) -> Field:
    column = soft(0.085 - np.abs(X), 0.02) * (0.7 + 0.3 * np.cos(np.pi * X / 0.17))
    discs = 0.5 + 0.5 * np.cos(2 * np.pi * Y / pitch)
    return column * (0.06 + 0.05 * discs)
