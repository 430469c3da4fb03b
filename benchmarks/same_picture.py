"""How far the answer for one radiograph moves when only the way moves in which it is stored.

    python benchmarks/same_picture.py RADIOGRAPHS [--model FOLDER]

Each file of the folder is stored again as 8-bit PNG (what the others are compared with), JPEG of quality 60, 1024 and
512 pixels on its longer side, 16-bit PNG, and DICOM (8 and 16 bit, MONOCHROME2 and MONOCHROME1), and screened with
cxr-batch. Printed is the largest change of any probability, and how many decisions change.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from cxr.core.errors import ImageError
from cxr.imaging.decode import decode
from tests.dicoms import save_dicom

FULL = 1 << 20  # pixels a side of the planes asked for: no JPEG is decoded at a reduced scale
REFERENCE = "PNG, 8 bit"


def smaller(pixels, side):
    """Return the picture with `side` pixels on its longer side; it is not enlarged."""
    image = Image.fromarray(pixels)
    factor = min(1, side / max(image.size))
    return image.resize([max(1, round(length * factor)) for length in image.size], Image.Resampling.LANCZOS)


def sixteen(pixels):
    return pixels.astype(np.uint16) * 257


FORMS: dict[str, Callable[[np.ndarray, Path], None]] = {
    REFERENCE: lambda pixels, stem: Image.fromarray(pixels).save(stem.with_suffix(".png")),
    "JPEG, quality 60": lambda pixels, stem: Image.fromarray(pixels).save(stem.with_suffix(".jpg"), quality=60),
    "1024 pixels": lambda pixels, stem: smaller(pixels, 1024).save(stem.with_suffix(".png")),
    "512 pixels": lambda pixels, stem: smaller(pixels, 512).save(stem.with_suffix(".png")),
    "PNG, 16 bit": lambda pixels, stem: Image.fromarray(sixteen(pixels)).save(stem.with_suffix(".png")),
    "DICOM, 8 bit": lambda pixels, stem: save_dicom(stem.with_suffix(".dcm"), pixels),
    "DICOM, 16 bit": lambda pixels, stem: save_dicom(stem.with_suffix(".dcm"), sixteen(pixels)),
    "DICOM, MONOCHROME1": lambda pixels, stem: save_dicom(
        stem.with_suffix(".dcm"), 255 - pixels, PhotometricInterpretation="MONOCHROME1"
    ),
}


def pictures(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        try:
            yield f"{number:04d}", decode(path, FULL)[0]
        except ImageError as error:
            print(f"{path.name} is left out: {error.detail}", file=sys.stderr)


def screened(folder: Path, model: str | None) -> pd.DataFrame:
    table = folder / "results.csv"
    command = ["cxr-batch", str(folder), "-o", str(table), "--quiet", "--fail-on", "none"]
    subprocess.run([*command, *(["--model", model] if model else [])], check=True)
    rows = pd.read_csv(table, keep_default_na=False)
    return rows.assign(stem=rows["path"].str.split(".").str[0]).set_index("stem")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("radiographs", type=Path)
    parser.add_argument("--model", help="as for cxr-batch; else the packaged one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folders = {name: Path(temporary) / str(number) for number, name in enumerate(FORMS)}
        for folder in folders.values():
            folder.mkdir()
        for stem, pixels in pictures(options.radiographs):
            for name, store in FORMS.items():
                store(pixels, folders[name] / stem)
        tables = {name: screened(folder, options.model) for name, folder in folders.items()}
    report(tables)


def report(tables: dict[str, pd.DataFrame]) -> None:
    reference = tables.pop(REFERENCE)
    columns = [name for name in reference.columns if name.startswith("probability_")]
    print(f"{len(reference)} radiographs; compared with {REFERENCE}")
    print(f"{REFERENCE}: " + ", ".join(f"{n} {what}" for what, n in reference["status"].value_counts().items()))
    for name, table in tables.items():
        answered = reference.index[(reference["status"] == "ok") & (table["status"].reindex(reference.index) == "ok")]
        change = (table.loc[answered, columns].astype(float) - reference.loc[answered, columns].astype(float)).abs()
        moved = {
            what: int((table[what].reindex(reference.index) != reference[what]).sum())
            for what in ("status", "decision")
        }
        print(
            f"{name}: largest change of a probability {change.to_numpy().max():.6f}, median of the files' largest "
            f"{change.max(axis=1).median():.6f}; other status {moved['status']}, other decision {moved['decision']}"
        )


if __name__ == "__main__":
    main()
