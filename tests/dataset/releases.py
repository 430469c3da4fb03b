"""Tiny releases and archives for tests of the import."""

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

PARAMS = """\
# a comment at the top
seed: 7
classes: [covid, normal]   # order matters
image:
  side: 32
runtime:
  intra_op_threads: 2
  deterministic: true
prepare:
  expected_files: 1        # the guard
  discard: [lung_opacity]
  unreadable: stop
  duplicates:
    max_distance: 51
    min_correlation: 0.97
balance:
  per_class: null          # stays null
"""


def png(number: int) -> bytes:
    """Return an 8 x 8 grey PNG that differs with `number`."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def release_files(top: str = "") -> dict[str, bytes]:
    """Return 3 COVID, 2 Normal and 1 Lung_Opacity images in the published layout, with one mask."""
    names = ["COVID/images/COVID-1.png", "COVID/images/COVID-2.png", "COVID/images/COVID-3.png"]
    names += ["Normal/images/Normal-1.png", "Normal/images/Normal-2.png", "Lung_Opacity/images/Lung_Opacity-1.png"]
    names += ["COVID/masks/COVID-1.png"]
    return {top + name: png(number) for number, name in enumerate(names)}


def write_tree(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: Mapping[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def make_project(root: Path) -> Path:
    """Make a project folder with params.yaml, older data and a data.dvc tied to the sample's remote."""
    write_tree(root, {"data/COVID/images/old.png": png(99), "data.dvc": b"outs:\n- path: data\n  remote: sample\n"})
    (root / "params.yaml").write_text(PARAMS)
    return root


def digest(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below `root`, hidden ones too; the Git and DVC folders left out."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if not {".git", ".dvc"} & set(path.relative_to(root).parts)
    }
