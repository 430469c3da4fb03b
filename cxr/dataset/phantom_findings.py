"""What disease adds to a phantom: ground-glass patches, interstitial streaks or one consolidation."""

from enum import StrEnum

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cxr.dataset.phantom_anatomy import Thorax
from cxr.dataset.phantom_geometry import X, Y, blob, ellipse, soft, texture
from cxr.dataset.phantom_vessels import HILA, draw_vessels

Field = NDArray[np.float64]


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
