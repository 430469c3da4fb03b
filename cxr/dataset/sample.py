"""Write a synthetic release: phantoms in the layout of the public COVID-19 Radiography Database.

It stands in for the radiographs wherever those must not or cannot be had, and holds the real release's traps on
purpose: patients with several films, planted duplicates, 24-bit files, sources that lean towards a class.
"""

import io
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cxr.dataset.phantom import draw_phantom
from cxr.dataset.phantom_findings import Finding
from cxr.dataset.release import MASK_FOLDER, METADATA_SUFFIX, PATIENTS_FILE
from cxr.dataset.sample_plan import Copy, PlannedFile, plan_sample
from cxr.dataset.sample_sheet import write_patients, write_sheet
from cxr.errors import DataError
from cxr.images import SYNTHETIC_KEY
from cxr.planes import Plane

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
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}.") as beside:
        unfinished = Path(beside) / root.name
        _write_release(unfinished, seed, plan_sample(seed, per_class, per_opacity))
        if root.exists():
            root.rmdir()
        unfinished.rename(root)


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
    shutil.copyfile(*masks)
    if copy is Copy.SAME_BYTES:
        shutil.copyfile(original, path)
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
