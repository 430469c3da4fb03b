"""Write a synthetic release: phantoms in the layout of the public COVID-19 Radiography Database.

It stands in for the radiographs wherever those must not or cannot be had, and holds the real release's traps on
purpose: patients with several films, planted duplicates, 24-bit files, sources that lean towards a class.
"""

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.random import Generator
from openpyxl import Workbook
from openpyxl.writer.excel import ExcelWriter
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cxr.core.errors import DataError
from cxr.core.files import copy_file, guarded, make_folder, move, scratch_folder
from cxr.core.image import SYNTHETIC_KEY, Plane
from cxr.dataset.release import MASK_FOLDER, METADATA_SUFFIX, PATIENTS_FILE
from cxr.phantom.anatomy import Finding
from cxr.phantom.film import draw_phantom

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


COLUMNS = ("FILE NAME", "FORMAT", "SIZE", "URL")
PATIENT_COLUMNS = ("file", "patient_id")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest moment that a ZIP entry can have


def write_sheet(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write an XLSX file with the one sheet `Sheet1`: the row `COLUMNS`, then `rows`.

    Creation time and the times inside the ZIP are fixed, so equal rows give equal bytes.
    """
    workbook = Workbook()
    workbook.properties.created = workbook.properties.modified = datetime(*_EPOCH)
    sheet = workbook.worksheets[0]
    sheet.title = "Sheet1"
    for row in (COLUMNS, *rows):
        sheet.append(tuple(row))
    buffer = io.BytesIO()
    # Workbook.save would overwrite `modified` with the present moment.
    with zipfile.ZipFile(buffer, "w") as archive:
        ExcelWriter(workbook, archive).write_data()
    _copy_without_times(buffer, path)


def write_patients(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file with `PATIENT_COLUMNS` as its head, then `rows`; UTF-8, lines end in a line feed."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows((PATIENT_COLUMNS, *rows))


def _copy_without_times(source: io.BytesIO, path: Path) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(entry, old.read(name))


SYNTHETIC_NOTE = "thorax phantom drawn by cxr-batch; not a patient"
IMAGE_FOLDER = "images"
BRIGHTER = 1.05
JPEG_QUALITY = 75
SOURCES = ("north-hospital", "south-hospital", "case-reports", "teaching-files", "screening-study", "clinic-archive")
# Chance of each of SOURCES: a class leans towards some, and no source has one class alone.
_LEANINGS = {
    Finding.GROUND_GLASS: (0.30, 0.10, 0.35, 0.10, 0.05, 0.10),
    Finding.NONE: (0.10, 0.20, 0.05, 0.10, 0.40, 0.15),
    Finding.INTERSTITIAL: (0.10, 0.30, 0.10, 0.35, 0.05, 0.10),
    Finding.CONSOLIDATION: (0.15, 0.15, 0.10, 0.15, 0.15, 0.30),
}


def write_sample(root: Path, seed: int = 7, per_class: int = 60, per_opacity: int = 20) -> None:
    """Draw a synthetic release into the folder `root`, whole or not at all.

    Equal arguments give equal bytes in every file, on one set of versions of NumPy, SciPy, Pillow and zlib.

    Args:
        root: The folder to make; an empty one may be there.
        seed: Number of 0 or more from which everything follows.
        per_class: Images of `COVID`, `Normal` and `Viral Pneumonia` each, duplicates included, 1 or more.
        per_opacity: Images of `Lung_Opacity`, duplicates included, 1 or more.

    Raises:
        DataError: `root` holds something, or a number is out of range.
    """
    _check(root, seed, per_class, per_opacity)
    root = root.absolute()
    make_folder(root.parent)
    with scratch_folder(root) as beside, guarded(root):
        unfinished = beside / root.name
        _write_release(unfinished, seed, plan_sample(seed, per_class, per_opacity))
        if root.exists():
            root.rmdir()
        move(unfinished, root)


def file_of(finding: Finding, number: int, folder: str = IMAGE_FOLDER) -> Path:
    """Return where an image, or with `folder` its mask, lies below the root: `COVID/images/COVID-1.png`."""
    return Path(finding.value) / folder / f"{finding.value}-{number}.png"


def _check(root: Path, seed: int, per_class: int, per_opacity: int) -> None:
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise DataError(f"{root} is there already; expected no folder or an empty one. Choose another or remove it")
    for name, value, least in (("seed", seed, 0), ("per_class", per_class, 1), ("per_opacity", per_opacity, 1)):
        if value < least:
            raise DataError(f"The sample's {name} is {value}; expected {least} or more")


def _write_release(root: Path, seed: int, plan: list[PlannedFile]) -> None:
    for finding in Finding:
        for folder in (IMAGE_FOLDER, MASK_FOLDER):
            (root / finding.value / folder).mkdir(parents=True)
    for file in plan:
        if file.copy is None:
            _write_drawn(root, seed, file)
        else:
            _write_copy(root, file, file.copy)
    ordered = sorted(plan, key=lambda file: (file.finding.value, file.number))
    rows = [(file_of(file.finding, file.number).as_posix(), f"phantom-{file.patient:04d}") for file in ordered]
    write_patients(root / PATIENTS_FILE, rows)
    for finding in Finding:
        _write_metadata(root, seed, finding, [file for file in ordered if file.finding is finding])


def _write_drawn(root: Path, seed: int, file: PlannedFile) -> None:
    phantom = draw_phantom(file.finding, [seed, file.patient], file.film)
    _write_png(root / file_of(file.finding, file.number), phantom.luminance, rgb=file.rgb)
    _write_png(root / file_of(file.finding, file.number, MASK_FOLDER), phantom.lungs)


def _write_copy(root: Path, file: PlannedFile, copy: Copy) -> None:
    original, path = (root / file_of(file.finding, number) for number in (file.original, file.number))
    masks = (root / file_of(file.finding, number, MASK_FOLDER) for number in (file.original, file.number))
    copy_file(*masks)
    if copy is Copy.SAME_BYTES:
        copy_file(original, path)
        return
    with Image.open(original) as image:
        luminance = np.asarray(image)
    _write_png(path, _altered(luminance, copy), rgb=copy is Copy.SAME_PIXELS)


def _altered(luminance: Plane, copy: Copy) -> Plane:
    if copy is Copy.BRIGHTER:
        brighter: Plane = np.clip(luminance * BRIGHTER, 0, 255).round().astype(np.uint8)
        return brighter
    if copy is Copy.SHIFTED:
        return np.pad(luminance, ((1, 0), (0, 0)), mode="edge")[:-1]
    if copy is Copy.RECOMPRESSED:
        buffer = io.BytesIO()
        Image.fromarray(luminance).save(buffer, "JPEG", quality=JPEG_QUALITY)
        return np.asarray(Image.open(buffer))
    return luminance


def _write_png(path: Path, plane: Plane, rgb: bool = False) -> None:
    note = PngInfo()
    note.add_text(SYNTHETIC_KEY, SYNTHETIC_NOTE)
    image = Image.fromarray(plane)
    (image.convert("RGB") if rgb else image).save(path, "PNG", optimize=True, pnginfo=note)


def _write_metadata(root: Path, seed: int, finding: Finding, files: list[PlannedFile]) -> None:
    # The public release writes Normal's names in capitals and its masks' size for every image.
    name = "NORMAL" if finding is Finding.NONE else finding.value
    rows = [
        (f"{name}-{file.number}", "PNG", "256*256", f"https://example.org/synthetic/{_source(seed, file)}")
        for file in files
    ]
    write_sheet(root / f"{finding.value}{METADATA_SUFFIX}", rows)


def _source(seed: int, file: PlannedFile) -> str:
    """Return where a patient's films come from; all of one patient's have one source."""
    rng = np.random.default_rng([seed, file.patient, 3])  # the phantoms use the streams 0, 1 and 2 of a patient
    return str(rng.choice(SOURCES, p=_LEANINGS[file.finding]))
