"""Draw one thorax phantom: a made-up chest film with its finding and its lung mask.

A phantom is recognisable, cheap and nobody's: it lets every stage run and be tested without patient data. What a
network scores on phantoms says nothing about radiographs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.dataset.phantom_anatomy import draw_thorax
from cxr.dataset.phantom_film import expose, project, random_pose
from cxr.dataset.phantom_findings import Finding, draw_finding

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
