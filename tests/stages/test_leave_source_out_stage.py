"""`stages/leave_source_out.py` itself: the same bytes twice, and a sentence where it cannot work."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from cxr.core.manifest import write_images, write_table
from tests.imports import ROOT
from tests.tables import manifest

SIDE = 32
LABELS = ["covid", "normal", "viral_pneumonia"]


@pytest.fixture
def project(tmp_path):
    """Give a folder with 3 x 20 pictures of noise, split; covid is of two sources, and validation has one of them."""
    table = manifest(dict.fromkeys(LABELS, 20))
    table["source"] = ["clinic a"] * 15 + ["clinic b"] * 5 + ["clinic c"] * 40
    table = table.assign(group=table["index"], split=["train", "train", "train", "validation", "test"] * 12)
    table.loc[(table["source"] == "clinic b") & (table["split"] == "validation"), "split"] = "train"
    write_table(tmp_path / "work/split.csv", table)
    write_images(
        tmp_path / "work/prepared/images.npy", np.random.default_rng(5).integers(0, 256, (60, SIDE, SIDE), np.uint8)
    )
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    params["train_cnn1"] |= {"side": SIDE}
    params["leave_source_out"] = {"target": "covid", "epochs": 1}
    write_params(tmp_path, params)
    return tmp_path


def write_params(project, params):
    with (project / "params.yaml").open("w") as file:
        YAML().dump(params, file)


def leave_source_out(project, *arguments):
    places = ["--params", "params.yaml", "--output", "release/leave_source_out.csv"]
    command = [sys.executable, str(ROOT / "stages/leave_source_out.py"), *places, *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


@pytest.mark.long
@pytest.mark.slow
def test_two_runs_write_the_same_bytes_with_rows_for_every_source_that_can_be_held_out(project):
    for output in ("release/leave_source_out.csv", "again.csv"):
        done = leave_source_out(project, "--output", output)
        assert done.returncode == 0, done.stderr
        assert "clinic a cannot be held out" in done.stderr
    assert (project / "again.csv").read_bytes() == (project / "release/leave_source_out.csv").read_bytes()
    table = pd.read_csv(project / "again.csv", keep_default_na=False)
    assert table.columns.tolist() == ["held_out", "file", "actual", *(f"probability_{label}" for label in LABELS)]
    assert table["held_out"].value_counts().to_dict() == {"": 4, "clinic b": 5}
    assert table.filter(like="probability_").sum(axis=1).to_numpy() == pytest.approx(1, abs=2e-6)


@pytest.mark.slow
def test_a_class_of_one_source_gives_the_header_alone(project):
    table = pd.read_csv(project / "work/split.csv", keep_default_na=False)
    write_table(project / "work/split.csv", table.replace("clinic b", "clinic a"))
    done = leave_source_out(project)
    assert done.returncode == 0, done.stderr
    assert "nothing to hold out" in done.stderr
    header = "held_out,file,actual,probability_covid,probability_normal,probability_viral_pneumonia\n"
    assert (project / "release/leave_source_out.csv").read_text() == header


def test_an_unknown_target_stops_the_stage_before_tensorflow_loads(project):
    params = YAML(typ="safe").load(project / "params.yaml")
    params["leave_source_out"]["target"] = "covid19"
    write_params(project, params)
    code = (
        "import runpy, sys; sys.argv = ['leave_source_out.py', '--params', 'params.yaml']\n"
        f"try: runpy.run_path({str(ROOT / 'stages/leave_source_out.py')!r}, run_name='__main__')\n"
        "except SystemExit as status: print(status.code, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["1", "False"]
    assert "leave_source_out.target is 'covid19'" in " ".join(done.stderr.split())
    assert not (project / "release/leave_source_out.csv").exists()


def test_help_loads_nothing_heavy_and_names_the_outputs(project):
    code = (
        "import runpy, sys; sys.argv = ['leave_source_out.py', '--help']\n"
        f"try: runpy.run_path({str(ROOT / 'stages/leave_source_out.py')!r}, run_name='__main__')\n"
        "except SystemExit as status: assert not status.code\n"
        "print('LOADED', *sorted({'tensorflow', 'keras', 'pandas', 'pydantic', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1].split() == ["LOADED"]
    assert "release/leave_source_out.csv" in done.stdout
