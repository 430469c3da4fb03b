"""`stages/train_lungs.py` itself: without masks the packaged segmenter, with too few one sentence."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from cxr.core.manifest import write_images, write_table
from cxr.inference.lungs import LUNGS_FILES
from cxr.inference.model_folder import packaged_folder
from tests.imports import ROOT
from tests.tables import manifest

SIDE = 96


@pytest.fixture
def project(tmp_path):
    (tmp_path / "release").mkdir()
    for name in ("params.yaml", "release/params.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    table = manifest({"covid": 3, "normal": 3})
    write_table(tmp_path / "work/prepared/manifest.csv", table)
    write_table(tmp_path / "work/split.csv", table.assign(group=range(6), split=["train", "validation", "test"] * 2))
    write_images(tmp_path / "work/prepared/images.npy", np.zeros((6, SIDE, SIDE), np.uint8))
    return tmp_path


def train_lungs(project, masks):
    write_images(project / "work/prepared/masks.npy", masks)
    command = [sys.executable, str(ROOT / "stages/train_lungs.py")]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_without_masks_the_packaged_segmenter_is_taken_and_that_is_said(project):
    done = train_lungs(project, np.zeros((0, SIDE, SIDE), np.uint8))
    assert (done.returncode, done.stdout) == (
        0,
        "no image has a lung mask: release/models/lungs is the packaged segmenter\n",
    )
    folder = project / "release/models/lungs"
    assert sorted(path.name for path in folder.iterdir()) == sorted(LUNGS_FILES)
    assert all((folder / name).read_bytes() == (packaged_folder() / name).read_bytes() for name in LUNGS_FILES)


def test_masks_of_one_split_alone_are_one_sentence(project):
    masks = np.zeros((6, SIDE, SIDE), np.uint8)
    masks[0, 20:60, 20:60] = 255
    done = train_lungs(project, masks)
    assert done.returncode == 1
    assert "no image of the split test has a lung mask" in done.stderr
    assert not (project / "release/models/lungs").exists()
