"""The switch of a train stage that records for TensorBoard: off by default, by option or by environment variable."""

import os
import subprocess
import sys

import numpy as np
import pytest
from ruamel.yaml import YAML

from cxr.core.files import write_json
from cxr.imaging.decode import plane_rule
from tests.imports import ROOT
from tests.tables import manifest

pytestmark = pytest.mark.slow

SIDE = 32
WITHOUT_TENSORBOARD = "import sys; sys.modules['tensorboard'] = None; sys.argv = ['train_cnn1.py']; "
RUN = f"import runpy; runpy.run_path({str(ROOT / 'stages/train_cnn1.py')!r}, run_name='__main__')"


@pytest.fixture
def project(tmp_path):
    """Give a folder with what a train stage reads: bright and dark pictures of 32 pixels."""
    table = manifest({"covid": 20, "normal": 20})
    table["split"] = (["train"] * 12 + ["validation"] * 4 + ["test"] * 4) * 2
    noise = np.random.default_rng(0).integers(0, 100, (40, SIDE, SIDE))
    (tmp_path / "work/prepared").mkdir(parents=True)
    np.save(tmp_path / "work/prepared/images.npy", (noise + np.repeat([140, 0], 20)[:, None, None]).astype(np.uint8))
    write_json(tmp_path / "work/prepared/planes.json", plane_rule())
    table.to_csv(tmp_path / "work/split.csv", index=False)
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    params |= {"classes": ["covid", "normal"]}
    params["image"]["side"] = params["train_cnn1"]["side"] = SIDE
    params["train_cnn1"]["epochs"] = 1
    with (tmp_path / "params.yaml").open("w") as file:
        YAML().dump(params, file)
    return tmp_path


def stage(folder, before="import sys; sys.argv = ['train_cnn1.py']; ", **environment):
    command = [sys.executable, "-c", before + RUN]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | environment
    )
    return done.returncode, " ".join(done.stderr.split())


def digests(folder):
    from cxr.core.files import sha256_of

    return {path.name: sha256_of(path) for path in sorted((folder / "models/cnn1").iterdir())}


@pytest.mark.long
def test_the_variable_switches_recording_on_and_the_files_of_the_network_stay_the_same(project):
    pytest.importorskip("tensorboard", reason="the extra 'tensorboard' is not installed")
    status, said = stage(project, WITHOUT_TENSORBOARD)
    assert status == 0, said
    assert "cnn1 epoch 1/1" in said
    assert not (project / "runs").exists()
    alone = digests(project)
    status, said = stage(project, CXR_RUNS="runs")
    assert status == 0, said
    assert sorted(path.name for path in (project / "runs/cnn1/whole").iterdir()) == ["train", "validation"]
    assert digests(project) == alone


def test_without_the_package_the_stage_ends_before_it_trains(project):
    status, said = stage(project, WITHOUT_TENSORBOARD, CXR_RUNS="runs")
    assert status == 1
    assert "pip install '.[tensorboard]'" in said
    assert "Traceback" not in said
    assert "epoch" not in said
    assert not (project / "models").exists()
