"""The anatomy of a phantom: geometry, thorax, bones, vessels and findings, drawn as soft shapes on one canvas."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Field = NDArray[np.float64]

CANVAS = 360  # pixels; the film shows the middle 299
PIXELS_PER_UNIT = 149.5  # half of the film's 299
_AXIS = (np.arange(CANVAS) - (CANVAS - 1) / 2) / PIXELS_PER_UNIT
X: Field = np.tile(_AXIS, (CANVAS, 1))
Y: Field = X.T.copy()


def soft(distance: Field, blur: float = 0.012) -> Field:
    """Return 0 far outside, 0.5 on the edge and 1 far inside of a border; `distance` is positive inside."""
    scaled: Field = 0.5 * (1 + np.tanh(distance / (2 * blur)))
    return scaled


def ellipse(x: float, y: float, wide: float, high: float, tilt: float = 0.0, blur: float = 0.012) -> Field:
    """Return a filled ellipse, 0..1 (CANVAS, CANVAS).

    Args:
        x: Middle.
        y: Middle.
        wide: Half axis along x before tilting.
        high: Half axis along y before tilting.
        tilt: Radians, clockwise on the image.
        blur: Width of the edge.
    """
    along = (X - x) * np.cos(tilt) + (Y - y) * np.sin(tilt)
    across = (Y - y) * np.cos(tilt) - (X - x) * np.sin(tilt)
    radius = np.hypot(along / wide, across / high)
    return soft((1 - radius) * min(wide, high), blur)


def blob(x: float, y: float, wide: float, high: float) -> Field:
    """Return a Gaussian hump of height 1 with standard deviations `wide` and `high`, (CANVAS, CANVAS)."""
    hump: Field = np.exp(-0.5 * (((X - x) / wide) ** 2 + ((Y - y) / high) ** 2))
    return hump


def texture(rng: Generator, grain: float) -> Field:
    """Return Gaussian noise blurred to `grain` pixels, mean 0 and standard deviation 1, (CANVAS, CANVAS)."""
    noise: Field = gaussian_filter(rng.standard_normal((CANVAS, CANVAS)), grain)
    scaled: Field = (noise - noise.mean()) / noise.std()
    return scaled


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


HILA = ((-0.17, -0.03), (0.18, -0.07))  # right and left hilum; the left one stands a little higher
_STEP = 0.012
_CALIBRES = (2.2, 1.4, 0.8)  # blur in pixels of trunk, branch and twig


def draw_vessels(rng: Generator, trunks: int = 9) -> Field:
    """Draw trees of vessels that leave both hila in all directions and thin out towards the periphery.

    Args:
        rng: Source of the trees.
        trunks: Vessels that leave each hilum.

    Returns:
        float64 (CANVAS, CANVAS), 0 or more, about 1 on a trunk.
    """
    points: list[list[tuple[float, float]]] = [[] for _ in _CALIBRES]
    for x, y in HILA:
        outwards = 0.0 if x > 0 else np.pi
        for direction in np.linspace(-1.35, 1.35, trunks):
            angle = outwards + np.sign(x) * direction + rng.normal(0, 0.12)
            _grow(rng, points, x, y, angle, 0)
    return sum((_stamp(line, blur) for line, blur in zip(points, _CALIBRES, strict=True)), np.zeros((CANVAS, CANVAS)))


def _grow(
    rng: Generator, points: list[list[tuple[float, float]]], x: float, y: float, angle: float, level: int
) -> None:
    for step in range(int(rng.integers(14, 24))):
        angle += rng.normal(0, 0.10)
        x, y = x + _STEP * np.cos(angle), y + _STEP * np.sin(angle)
        points[level].append((x, y))
        if level < len(_CALIBRES) - 1 and step % 7 == 6:
            _grow(rng, points, x, y, angle + rng.choice((-1, 1)) * rng.uniform(0.3, 0.8), level + 1)


def _stamp(points: list[tuple[float, float]], blur: float) -> Field:
    canvas = np.zeros((CANVAS, CANVAS))
    columns, rows = (np.asarray(points).T * PIXELS_PER_UNIT + (CANVAS - 1) / 2).round().astype(int).clip(0, CANVAS - 1)
    canvas[rows, columns] = 1
    # A line of unit pixels blurred by s has height 1 / (s sqrt(2 pi)) and pixels stand _STEP apart.
    height = blur * np.sqrt(2 * np.pi) * _STEP * PIXELS_PER_UNIT * (blur / _CALIBRES[0]) ** 0.5
    blurred: Field = gaussian_filter(canvas, blur) * height
    return blurred


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


class Finding(StrEnum):
    """What a phantom shows; the values are the release's class folders."""

    GROUND_GLASS = "COVID"
    NONE = "Normal"
    INTERSTITIAL = "Viral Pneumonia"
    CONSOLIDATION = "Lung_Opacity"


def draw_finding(thorax: Thorax, finding: Finding, rng: Generator) -> Field:
    """Draw `finding` into the lungs of `thorax`, from subtle to severe as `rng` has it.

    Returns:
        Attenuation to add, float64 (CANVAS, CANVAS), 0 or more; all zeros for `Finding.NONE`.
    """
    severity = 0.45 + 0.75 * rng.beta(1.8, 1.4)
    if finding is Finding.GROUND_GLASS:
        return severity * _ground_glass(thorax, rng) * thorax.lungs
    if finding is Finding.INTERSTITIAL:
        return severity * _interstitial(thorax, rng) * thorax.lungs
    if finding is Finding.CONSOLIDATION:
        return severity * _consolidation(thorax, rng) * thorax.lungs
    return np.zeros_like(thorax.lungs)


def _ground_glass(thorax: Thorax, rng: Generator) -> Field:
    """Hazy patches, bilateral, in the periphery of the lower zones."""
    habitus = thorax.habitus
    depth = gaussian_filter(thorax.lungs, 16)
    peripheral = np.clip(1.5 - depth, 0, 1) * soft(np.abs(X) - 0.26, 0.06)
    lower = soft(Y - rng.uniform(-0.15, 0.10), 0.10)
    patches = soft(texture(rng, 9) + rng.uniform(-0.2, 0.5), 0.25)
    side = 1 + rng.uniform(-0.35, 0.35) * np.sign(X)  # bilateral, seldom symmetric
    return 0.50 * habitus.air / 0.56 * side * peripheral * lower * patches * (1 + 0.08 * texture(rng, 2.0))


def _interstitial(thorax: Thorax, rng: Generator) -> Field:
    """Streaks and a fine net around both hila, fading towards the periphery."""
    reach = rng.uniform(0.24, 0.36)
    around = sum(blob(x, y + 0.06, reach, 1.2 * reach) for x, y in HILA)
    net = np.clip(1 - 1.6 * np.abs(texture(rng, 2.6)), 0, 1)
    streaks = np.minimum(draw_vessels(rng, trunks=11), 1.2)  # trunks pile up where they leave the hilum
    return thorax.habitus.air / 0.56 * around * (0.24 * net + 0.09 * streaks + 0.06)


def _consolidation(thorax: Thorax, rng: Generator) -> Field:
    """One dense focus with an irregular edge, anywhere in one lung."""
    side = rng.choice((-1, 1))
    x, y = side * rng.uniform(0.32, 0.55), rng.uniform(-0.45, thorax.habitus.dome - 0.05)
    focus = ellipse(x, y, rng.uniform(0.12, 0.24), rng.uniform(0.10, 0.20), rng.uniform(-0.6, 0.6), blur=0.05)
    return 0.50 * focus * soft(focus - 0.5 + 0.18 * texture(rng, 6), 0.10)
