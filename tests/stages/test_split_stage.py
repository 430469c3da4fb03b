"""`stages/split.py` itself stops where a picture would stand in two splits, and writes nothing."""

import shutil
import subprocess
import sys

import pandas as pd
import pytest

from cxr.manifest import write_table
from tests.imports import ROOT
from tests.tables import manifest


@pytest.fixture
def project(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def split(project, table):
    write_table(project / "work/balanced.csv", table)
    command = [sys.executable, str(ROOT / "stages/split.py")]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_a_clean_table_is_split(project):
    assert split(project, manifest({"covid": 50, "normal": 50})).returncode == 0
    assert len(pd.read_csv(project / "work/split.csv")) == 100


def test_planted_copies_of_an_image_stop_the_stage(project):
    table = manifest({"covid": 50, "normal": 50})
    table.loc[:19, "pixels_sha256"] = "0" * 64  # twenty copies that prepare did not see as duplicates
    done = split(project, table)
    assert done.returncode == 1
    assert "1 values of pixels_sha256 are in more than one split" in " ".join(done.stderr.split())
    assert not (project / "work/split.csv").exists()
