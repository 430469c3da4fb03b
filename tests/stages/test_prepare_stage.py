"""`stages/prepare.py` itself: what it writes, and what stops it."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from ruamel.yaml import YAML

from tests.dataset.audits.tables import films
from tests.imports import ROOT

FOLDERS = ("COVID", "Normal", "Viral Pneumonia")
AUDITS = [
    "exact_duplicates",
    "near_duplicates",
    "label_conflicts",
    "format_leak_header",
    "format_leak_decoded",
    "class_by_source",
    "metadata_contradiction",
]


@pytest.fixture
def project(tmp_path):
    """Give a project with seven films a class, a mask for the first, and one unreadable file."""
    drawn = iter(films(np.random.default_rng(0), 21, 64))
    for folder in FOLDERS:
        (tmp_path / "data" / folder / "images").mkdir(parents=True)
        for number in range(1, 8):
            Image.fromarray(next(drawn)).save(tmp_path / f"data/{folder}/images/{folder}-{number}.png")
    (tmp_path / "data/COVID/masks").mkdir()
    Image.new("L", (256, 256), 255).save(tmp_path / "data/COVID/masks/COVID-1.png")
    (tmp_path / "data/Normal/images/Normal-8.png").write_bytes(b"")
    write_params(tmp_path, {})
    return tmp_path


def write_params(project, waivers):
    values = YAML(typ="safe").load(ROOT / "params.yaml")
    values["image"]["side"] = 32
    values["prepare"] |= {"expected_files": 22, "unreadable": "drop", "waivers": waivers}
    with (project / "params.yaml").open("w") as file:
        YAML().dump(values, file)


def prepare(project):
    command = [sys.executable, str(ROOT / "stages/prepare.py")]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_a_larger_network_has_planes_of_its_own_and_no_byte_of_the_others_moves(project):
    kept = {}
    for sides in ({"image": 128, "train_vgg16": 48}, {"image": 224, "train_vgg16": 224}):
        values = YAML(typ="safe").load(project / "params.yaml")
        for section, side in sides.items():
            values[section]["side"] = side
        with (project / "params.yaml").open("w") as file:
            YAML().dump(values, file)
        assert prepare(project).returncode == 0
        kept[sides["image"]] = {
            path.relative_to(project / "work/prepared").as_posix(): path.read_bytes()
            for path in (project / "work/prepared").rglob("*.*")
        }
    moved = [name for name, data in kept[128].items() if kept[224][name] != data]
    assert moved == ["larger/vgg16.npy"]
    assert sorted(kept[224]) == sorted(kept[128])
    assert np.load(project / "work/prepared/larger/vgg16.npy").shape == (21, 224, 224)
    assert np.load(project / "work/prepared/larger/cnn1.npy").shape == (0, 128, 128)
    assert json.loads((project / "work/prepared/planes.json").read_text())["rule"] == "triangle-1"


def conflicting(project):
    shutil.copy(project / "data/COVID/images/COVID-1.png", project / "data/Normal/images/Normal-9.png")


def test_tables_arrays_and_the_report_agree_and_come_out_the_same_again(project):
    assert prepare(project).returncode == 0
    report = json.loads((project / "reports/data.json").read_text())
    assert [audit["id"] for audit in report["audits"]] == AUDITS
    assert report["flow"][-1]["images"] == {"covid": 7, "normal": 7, "viral_pneumonia": 7}
    assert report["flow"][-1]["dropped"] == 1
    assert report["change_points"] == {}
    folder = project / "work/prepared"
    manifest, headers, masks = (pd.read_csv(folder / f"{name}.csv") for name in ("manifest", "headers", "masks"))
    assert manifest["file"].tolist() == headers["file"].tolist() == masks["file"].tolist()
    planes = np.load(folder / "masks.npy")
    assert planes.shape == (21, 32, 32)
    assert np.flatnonzero(planes.any(axis=(1, 2))).tolist() == np.flatnonzero(masks["mask"].notna()).tolist() == [0]
    before = {path: path.read_bytes() for path in (*folder.rglob("*.*"), project / "reports/data.json")}
    assert prepare(project).returncode == 0
    assert {path: path.read_bytes() for path in before} == before


def test_one_picture_under_two_labels_stops_the_stage_after_the_report(project):
    conflicting(project)
    done = prepare(project)
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert "COVID/images/COVID-1.png (covid) and Normal/images/Normal-9.png (normal)" in said
    assert "prepare.waivers.label_conflicts: why" in said
    assert json.loads((project / "reports/data.json").read_text())["audits"][2]["result"] == "fail"
    assert not (project / "work/prepared/manifest.csv").exists()


def test_a_waiver_lets_it_go_on_and_stands_in_the_report(project):
    conflicting(project)
    write_params(project, {"label_conflicts": "both labels are right"})
    assert prepare(project).returncode == 0
    report = json.loads((project / "reports/data.json").read_text())
    assert report["audits"][2]["waiver"] == "both labels are right"
    assert (project / "work/prepared/manifest.csv").exists()
