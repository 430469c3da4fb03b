"""The healthy thorax of a phantom: soft tissue, lungs, heart, mediastinum and diaphragm as attenuation.

Everything is drawn on a canvas wider than the film, so that a turned or shifted film still has a body to show.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cxr.dataset.phantom_bones import draw_bones
from cxr.dataset.phantom_geometry import X, Y, ellipse, soft
from cxr.dataset.phantom_vessels import draw_vessels

Field = NDArray[np.float64]
RIGHT, LEFT = -1, 1  # the patient's sides; the patient faces us, so the right lung is on the image's left


@dataclass(frozen=True, slots=True)
class Habitus:
    """What makes one patient's thorax differ from another's; lengths in half film widths, y grows downwards.

    Attributes:
        width: Distance from the midline to the lateral chest wall.
        apex: y of the lung apices.
        dome: y of the right hemidiaphragm's dome; small after a poor inspiration.
        heart: Size of the heart relative to the average.
        soft_tissue: Thickness of muscle and fat, 0..1.
        breast: Attenuation of the breast shadows, 0 where there are none.
        rib_pitch: Vertical distance of neighbouring ribs.
        rib_slope: How far a posterior rib falls from the spine to the chest wall.
        bone: Bone density relative to the average.
        air: How much the aerated lung takes away from the attenuation.
        vessels: Prominence of the pulmonary vessels relative to the average.
    """

    width: float
    apex: float
    dome: float
    heart: float
    soft_tissue: float
    breast: float
    rib_pitch: float
    rib_slope: float
    bone: float
    air: float
    vessels: float


@dataclass(frozen=True, slots=True)
class Thorax:
    """A healthy thorax on the canvas.

    Attributes:
        attenuation: float64 (CANVAS, CANVAS); about 0 in air, 0.3 in lung, 1 in soft tissue and more in bone.
        lungs: float64 (CANVAS, CANVAS), 0..1, both lungs without the part that the heart hides.
        habitus: The patient.
    """

    attenuation: Field
    lungs: Field
    habitus: Habitus


def random_habitus(rng: Generator) -> Habitus:
    """Draw one patient; nothing here knows of any finding."""
    has_breasts = rng.random() < 0.45
    return Habitus(
        width=rng.uniform(0.64, 0.82),
        apex=rng.uniform(-0.82, -0.64),
        dome=rng.uniform(0.32, 0.58),
        heart=rng.uniform(0.80, 1.30),
        soft_tissue=rng.uniform(0.0, 1.0),
        breast=rng.uniform(0.04, 0.16) if has_breasts else 0.0,
        rib_pitch=rng.uniform(0.125, 0.150),
        rib_slope=rng.uniform(0.12, 0.28),
        bone=rng.uniform(0.6, 1.3),
        air=rng.uniform(0.50, 0.62),
        vessels=rng.uniform(0.6, 1.4),
    )


def draw_thorax(rng: Generator) -> Thorax:
    """Draw the healthy thorax of the patient that `rng` stands for."""
    habitus = random_habitus(rng)
    inside = lung(habitus, RIGHT) + lung(habitus, LEFT)
    heart = _heart(habitus)
    lungs = inside * (1 - heart)
    # Towards the chest wall a ray crosses less air, so the lung brightens there.
    air = inside * (1 - 0.92 * heart) * (0.62 + 0.38 * gaussian_filter(inside, 14))
    attenuation = _soft_tissue(habitus, inside) - habitus.air * air
    bones = draw_bones(habitus.width, habitus.apex, habitus.rib_pitch, habitus.rib_slope, habitus.bone)
    attenuation += bones * (1 - 0.75 * soft(Y - habitus.dome, 0.05))  # scattered away under the diaphragm
    attenuation += 0.075 * habitus.vessels * draw_vessels(rng) * inside * (1 - 0.6 * heart)
    return Thorax(np.maximum(attenuation, 0), lungs, habitus)


def lung(habitus: Habitus, side: int) -> Field:
    """Return where one lung lies, heart included: 0..1 (CANVAS, CANVAS); `side` is RIGHT or LEFT."""
    lateral = side * X
    dome = habitus.dome + (0.05 if side == LEFT else 0.0)  # the liver lifts the right hemidiaphragm
    costophrenic = dome + 0.28
    height = np.clip((costophrenic - Y) / (costophrenic - habitus.apex), 0, 1)
    chest_wall = 0.12 + (habitus.width - 0.12) * (1 - height**2.6) ** 0.55
    diaphragm = dome + 0.24 * ((lateral - 0.36) / 0.36) ** 2
    mediastinum = 0.135 + 0.025 * np.cos(4 * Y)
    return soft(chest_wall - lateral) * soft(lateral - mediastinum) * soft(diaphragm - Y) * soft(Y - habitus.apex)


def _heart(habitus: Habitus) -> Field:
    size, y = habitus.heart, habitus.dome - 0.06
    ventricles = ellipse(0.14, y, 0.36 * size, 0.25 * size, tilt=0.5, blur=0.018)
    right_atrium = ellipse(-0.05, y - 0.04, 0.20 * size, 0.26 * size, blur=0.018)
    aortic_knob = ellipse(0.13, -0.32, 0.10 * size, 0.10 * size, blur=0.018)
    hila = ellipse(0.16, -0.06, 0.07, 0.11, blur=0.05) + ellipse(-0.16, -0.02, 0.07, 0.12, blur=0.05)
    shadow: Field = np.clip(np.maximum.reduce([ventricles, right_atrium, aortic_knob]) + 0.35 * hila, 0, 1)
    return shadow


def _soft_tissue(habitus: Habitus, inside: Field) -> Field:
    shoulder = soft(Y + 0.80, 0.07)
    half_width = 0.26 + (habitus.width + 0.08 + 0.10 * habitus.soft_tissue) * shoulder - 0.16 * soft(Y + 0.35, 0.12)
    body = soft(half_width - np.abs(X), 0.02)
    mediastinum = soft(0.16 - np.abs(X), 0.03) * (1 - inside)
    trachea = ellipse(-0.01, -0.62, 0.045, 0.38, blur=0.015)
    abdomen = soft(Y - habitus.dome - 0.10, 0.06) * (1 - inside)
    stomach = ellipse(0.36, habitus.dome + 0.26, 0.16, 0.08, blur=0.03)
    breasts = sum(ellipse(side * 0.42, habitus.dome - 0.08, 0.34, 0.26, blur=0.03) for side in (RIGHT, LEFT))
    tissue = 0.78 + 0.12 * habitus.soft_tissue + 0.12 * mediastinum + 0.16 * abdomen + habitus.breast * breasts
    blurred: Field = gaussian_filter(body * (tissue - 0.20 * trachea - 0.16 * stomach), 1.5)
    return blurred
