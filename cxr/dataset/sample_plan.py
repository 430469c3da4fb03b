"""Plan a synthetic release: which files there are, who is on them, and which of them repeat another.

Per class of n files, n at least 4, max(1, n // 30) are exact and max(1, n // 20) are near duplicates; fewer than
4 files have none. At 60 that is 2 and 3, on 44 patients; at 20 it is 1 and 1, on 14 patients. With 24 bits are, at
60 and 20, 2 files of COVID, 2 of Normal, 6 of Viral Pneumonia and 1 of Lung_Opacity, copies saved as RGB included.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.random import Generator

from cxr.dataset.phantom_findings import Finding

IMAGES_PER_PATIENT = (1, 2, 1, 1, 3, 1, 1, 1, 1, 1, 4, 1, 1, 1)  # taken round and round; the last patient may get fewer
FILES_PER_EXACT = 30
FILES_PER_NEAR = 20
FEWEST_FOR_DUPLICATES = 4
FILES_PER_RGB = {Finding.INTERSTITIAL: 12}  # drawn files of a class in 24 bits: one in so many
FILES_PER_RGB_ELSEWHERE = 60


class Copy(StrEnum):
    """How a planted duplicate differs from its original."""

    SAME_BYTES = "same_bytes"
    SAME_PIXELS = "same_pixels"  # saved as 24-bit RGB, so only the bytes differ
    BRIGHTER = "brighter"
    RECOMPRESSED = "recompressed"
    SHIFTED = "shifted"


EXACT_COPIES = (Copy.SAME_BYTES, Copy.SAME_PIXELS)
NEAR_COPIES = (Copy.BRIGHTER, Copy.RECOMPRESSED, Copy.SHIFTED)


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One image file to be written.

    Attributes:
        finding: Its class.
        number: From 1, unique in the class; the n of `<CLASS>-<n>.png`.
        patient: From 0, unique in the release.
        film: From 0, the patient's films in order.
        rgb: Whether a drawn file is saved with 24 bits.
        copy: How it repeats another file; None if it is drawn.
        original: Number of the repeated file, of the same class; 0 if it is drawn.
    """

    finding: Finding
    number: int
    patient: int
    film: int
    rgb: bool = False
    copy: Copy | None = None
    original: int = 0


def duplicates_of(count: int) -> tuple[int, int]:
    """Return how many exact and near duplicates a class of `count` files has."""
    if count < FEWEST_FOR_DUPLICATES:
        return 0, 0
    return max(1, count // FILES_PER_EXACT), max(1, count // FILES_PER_NEAR)


def plan_class(finding: Finding, count: int, first_patient: int, rng: Generator) -> list[PlannedFile]:
    """Plan the `count` files of one class, drawn ones before the copies.

    A copy has a patient of its own, as in life, where nobody knows whom it shows: only the pixels tell.

    Args:
        finding: The class.
        count: Its files, duplicates included, 1 or more.
        first_patient: Number of the class's first patient; the next ones follow.
        rng: Source of the numbering and of the choice of originals.
    """
    exact, near = duplicates_of(count)
    numbers = [int(number) for number in rng.permutation(count) + 1]
    drawn = _drawn(finding, numbers[: count - exact - near], first_patient)
    # No original is copied twice, so every duplicate is one pair.
    order = [int(index) for index in rng.permutation(len(drawn))]
    copies = [EXACT_COPIES[i % len(EXACT_COPIES)] for i in range(exact)]
    copies += [NEAR_COPIES[i % len(NEAR_COPIES)] for i in range(near)]
    next_patient = drawn[-1].patient + 1
    planted = [
        PlannedFile(finding, number, next_patient + i, 0, copy=copy, original=drawn[order[i]].number)
        for i, (number, copy) in enumerate(zip(numbers[len(drawn) :], copies, strict=True))
    ]
    for index in order[len(copies) :][: _rgb_files(finding, count)]:
        drawn[index] = replace(drawn[index], rgb=True)
    return drawn + planted


def plan_sample(seed: int, per_class: int, per_opacity: int) -> list[PlannedFile]:
    """Plan the files of all classes; `per_opacity` counts for `Finding.CONSOLIDATION`, `per_class` for the others."""
    files: list[PlannedFile] = []
    for index, finding in enumerate(Finding):
        count = per_opacity if finding is Finding.CONSOLIDATION else per_class
        first_patient = files[-1].patient + 1 if files else 0
        files += plan_class(finding, count, first_patient, np.random.default_rng([seed, index, 4]))
    return files


def _drawn(finding: Finding, numbers: list[int], first_patient: int) -> list[PlannedFile]:
    files: list[PlannedFile] = []
    patient, film = first_patient, 0
    for number in numbers:
        if film == IMAGES_PER_PATIENT[(patient - first_patient) % len(IMAGES_PER_PATIENT)]:
            patient, film = patient + 1, 0
        files.append(PlannedFile(finding, number, patient, film))
        film += 1
    return files


def _rgb_files(finding: Finding, count: int) -> int:
    return -(-count // FILES_PER_RGB.get(finding, FILES_PER_RGB_ELSEWHERE))
