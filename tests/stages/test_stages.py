"""The eight stages one after the other, without DVC, on a few drawn films; then the bulk command."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from cxr.dataset.sample import write_sample
from cxr.models import NAMES
from tests.imports import ROOT

pytestmark = pytest.mark.slow

SIDE = 32


def stage(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / f"stages/{name}.py")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def succeeded(name, folder):
    done = stage(name, folder)
    assert done.returncode == 0, f"{name}: {done.stderr}"
    return done


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Give a folder in which all stages have run, on planes of 32 pixels, for one epoch."""
    folder = tmp_path_factory.mktemp("project")
    write_sample(folder / "data", per_class=12, per_opacity=2)
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    params["image"]["side"] = SIDE
    params["prepare"]["expected_files"] = 36
    for name in NAMES:
        params[f"train_{name}"] |= {"side": SIDE, "epochs": 1}
    with (folder / "params.yaml").open("w") as file:
        YAML().dump(params, file)
    for name in ("prepare", "balance", "split", *(f"train_{name}" for name in NAMES), "evaluate"):
        succeeded(name, folder)
    return folder


def test_every_image_of_the_classes_is_in_the_manifest(project):
    table = pd.read_csv(project / "work/prepared/manifest.csv")
    assert table["label"].value_counts().to_dict() == {"covid": 12, "normal": 12, "viral_pneumonia": 12}
    assert json.loads((project / "reports/data.json").read_text())["discarded"] == {"lung_opacity": 2}
    assert table["synthetic"].all()


def test_the_split_keeps_patients_together(project):
    table = pd.read_csv(project / "work/split.csv")
    assert table.groupby("patient")["split"].nunique().max() == 1
    assert set(table["split"]) == {"train", "validation", "test"}


def test_the_four_metrics_files_have_the_same_keys(project):
    metrics = {name: json.loads((project / f"reports/metrics/{name}.json").read_text()) for name in NAMES}
    assert len({tuple(values) for values in metrics.values()}) == 1
    assert all(0 <= values["balanced_accuracy"] <= 1 for values in metrics.values())


def test_the_screening_model_is_the_one_of_the_lowest_validation_loss(project):
    chosen = json.loads((project / "models/screening/model.json").read_text())
    losses = {
        name: json.loads((project / f"reports/metrics/{name}.json").read_text())["validation_log_loss"]
        for name in NAMES
    }
    assert chosen["name"] == min(losses, key=losses.__getitem__)
    assert chosen["data"]["synthetic_images"] == chosen["data"]["images"]
    assert sorted(path.name for path in (project / "models/screening").iterdir()) == [
        "model.json", "network.bin", "network.xml",
    ]  # fmt: skip


def test_evaluate_runs_again_to_the_same_bytes_and_without_tensorflow(project):
    before = {path: path.read_bytes() for path in (project / "reports").rglob("*") if path.is_file()}
    code = (
        f"import runpy, sys; sys.argv = ['evaluate.py']\n"
        f"try: runpy.run_path({str(ROOT / 'stages/evaluate.py')!r}, run_name='__main__')\n"
        f"except SystemExit as status: assert not status.code\n"
        f"assert not {{'tensorflow', 'keras'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=project, check=True, capture_output=True)
    assert {path: path.read_bytes() for path in before} == before


def test_screening_gives_what_evaluate_measured_and_warns_of_phantoms(project):
    command = [str(Path(sys.executable).parent / "cxr-batch"), "data", "-o", "results.csv", "--exclude", "masks"]
    done = subprocess.run(
        [*command, "--model", "models/screening"], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "mean nothing for patients" in " ".join(done.stderr.split())
    with (project / "results.csv").open(newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert len(rows) == 38
    chosen = json.loads((project / "models/screening/model.json").read_text())["name"]
    predictions = pd.read_csv(project / "reports/predictions.csv")
    measured = predictions[predictions["model"] == chosen]
    assert len(measured) > 0
    for row in measured.to_dict("records"):
        screened = rows[row["file"]]
        assert screened["prediction"] == row["predicted"]
        for column in (name for name in row if name.startswith("probability_")):
            assert float(screened[column]) == pytest.approx(row[column], abs=1e-5)


def test_a_wrong_parameter_stops_a_stage_with_one_sentence(project, tmp_path):
    text = (project / "params.yaml").read_text().replace("epochs: 1", "epochs: none", 1)
    (tmp_path / "params.yaml").write_text(text)
    done = stage("train_cnn1", tmp_path)
    assert done.returncode == 1
    assert "params.yaml: train_cnn1.epochs: input should be a valid integer, got 'none'" in " ".join(
        done.stderr.split()
    )
    assert "Traceback" not in done.stderr


def test_a_network_larger_than_the_plane_is_refused(project, tmp_path):
    text = (project / "params.yaml").read_text()
    head, tail = text.split("train_cnn1:")
    (tmp_path / "params.yaml").write_text(f"{head}train_cnn1:{tail.replace('side: 32', 'side: 48', 1)}")
    (tmp_path / "work").symlink_to(project / "work")
    done = stage("train_cnn1", tmp_path)
    assert done.returncode == 1
    assert "train_cnn1.side is 48, but the planes have 32 pixels" in " ".join(done.stderr.split())
