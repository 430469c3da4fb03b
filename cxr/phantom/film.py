"""How a phantom gets on film: pose, exposure, blur, grain, side marker and collimation, all blind to the finding."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter

from cxr.phantom.anatomy import CANVAS, PIXELS_PER_UNIT, Finding, draw_finding, draw_thorax

Field = NDArray[np.float64]
SIDE = 299  # pixels, as in the public release
_GLYPHS = {
    "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
    "R": ("11110", "10001", "10001", "11110", "10100", "10010", "10001"),
}


@dataclass(frozen=True, slots=True)
class Pose:
    """How the patient stands before the detector.

    Attributes:
        turn: Radians, clockwise on the film.
        size: Magnification.
        right: Shift to the film's right, in half film widths.
        down: Shift downwards, in half film widths.
    """

    turn: float
    size: float
    right: float
    down: float


def random_pose(rng: Generator) -> Pose:
    """Draw a pose within what a radiographer lets pass: 3 degrees, 6 percent, 8 pixels."""
    return Pose(
        turn=rng.uniform(-0.055, 0.055),
        size=rng.uniform(0.94, 1.06),
        right=rng.uniform(-0.055, 0.055),
        down=rng.uniform(-0.055, 0.055),
    )


def project(canvas: Field, pose: Pose, side: int = SIDE) -> Field:
    """Return what of the canvas falls on the film: float64 (side, side), whatever `side` the film has."""
    cosine, sine = np.cos(pose.turn), np.sin(pose.turn)
    scale = (SIDE / side) / pose.size
    matrix = scale * np.array([[cosine, -sine], [sine, cosine]])
    shift = PIXELS_PER_UNIT * np.array([pose.down, pose.right])
    offset = (CANVAS - 1) / 2 - matrix @ ((side - 1) / 2 + shift * side / SIDE)
    film: Field = affine_transform(canvas, matrix, offset, (side, side), order=1, mode="nearest")
    return film


def expose(film: Field, rng: Generator) -> NDArray[np.uint8]:
    """Turn attenuation into luminance with a random exposure, contrast, gamma, blur and grain.

    The film is first brought to mean 0 and standard deviation 1, so brightness and contrast come from `rng`
    alone and tell nothing about the finding.

    Args:
        film: Attenuation, float64 (SIDE, SIDE).
        rng: The exposure.

    Returns:
        uint8 (SIDE, SIDE), 0 black, 255 white.
    """
    film = gaussian_filter(film, rng.uniform(0.3, 1.0))
    standard = _uneven((film - film.mean()) / film.std(), rng)
    luminance = np.clip(rng.uniform(0.46, 0.60) + rng.uniform(0.17, 0.24) * standard, 0, 1) ** rng.uniform(0.85, 1.2)
    _put_marker(luminance, rng)
    _collimate(luminance, rng)
    grain = gaussian_filter(rng.standard_normal(film.shape), 0.7) * 3  # about unit variance after the blur
    grey: NDArray[np.uint8] = np.clip(255 * luminance + rng.uniform(0.3, 1.0) * grain, 0, 255).round().astype(np.uint8)
    return grey


def _uneven(standard: Field, rng: Generator) -> Field:
    """Tilt the exposure across the film, as the heel of the anode and an oblique grid do."""
    across = np.linspace(-1, 1, SIDE)
    return standard + rng.uniform(-0.4, 0.4) * across + rng.uniform(-0.4, 0.4) * across[:, np.newaxis]


def _put_marker(luminance: Field, rng: Generator) -> None:
    """Lay a lead letter into the upper corner of its side, on two films of five."""
    if rng.random() > 0.4:
        return
    letter, scale = rng.choice(("L", "R")), int(rng.integers(2, 4))
    glyph = np.kron(np.array([[int(bit) for bit in row] for row in _GLYPHS[letter]]), np.ones((scale, scale)))
    high, wide = glyph.shape
    top, margin = int(rng.integers(10, 40)), int(rng.integers(10, 30))
    left = margin if letter == "R" else SIDE - margin - wide
    window = luminance[top : top + high, left : left + wide]
    window[glyph > 0] = rng.uniform(0.85, 1.0)


def _collimate(luminance: Field, rng: Generator) -> None:
    """Black out a narrow border on one film of four."""
    if rng.random() > 0.25:
        return
    top, bottom, left, right = (int(margin) for margin in rng.integers(1, 14, size=4))
    open_field = np.zeros(luminance.shape, dtype=bool)
    open_field[top:-bottom, left:-right] = True
    luminance[~open_field] = 0


MASK_SIDE = 256  # pixels; the public release has masks smaller than its images


@dataclass(frozen=True, slots=True)
class Phantom:
    """One film and its mask.

    Attributes:
        luminance: uint8 (299, 299), 0 black, 255 white.
        lungs: uint8 (256, 256) over the same field, 255 in the lungs, 0 elsewhere.
    """

    luminance: NDArray[np.uint8]
    lungs: NDArray[np.uint8]


def draw_phantom(finding: Finding, patient: Sequence[int], film: int) -> Phantom:
    """Draw film number `film` of a patient; equal arguments give equal pixels.

    Args:
        finding: What the film shows.
        patient: Numbers of 0 or more that stand for the patient: anatomy and disease follow from them.
        film: Number of 0 or more; pose, exposure and noise follow from it and the patient.
    """
    thorax = draw_thorax(np.random.default_rng([*patient, 0]))
    disease = draw_finding(thorax, finding, np.random.default_rng([*patient, 1]))
    rng = np.random.default_rng([*patient, 2, film])
    pose = random_pose(rng)
    luminance = expose(project(thorax.attenuation + rng.uniform(0.85, 1.15) * disease, pose), rng)
    lungs = project(thorax.lungs, pose, MASK_SIDE) > 0.5
    return Phantom(luminance, lungs.astype(np.uint8) * np.uint8(255))
