"""`stages/split.py` itself stops where a picture would stand in two splits, unless a waiver says why."""

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from cxr.core.files import write_json
from cxr.core.manifest import write_table
from tests.imports import ROOT
from tests.tables import manifest

BEFORE = ("in the data", "of the classes", "readable")
FLOW = [{"step": step, "images": {"covid": 50, "normal": 50}, "dropped": 0, "why": ""} for step in BEFORE]


@pytest.fixture
def project(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    write_json(tmp_path / "reports/data.json", {"flow": FLOW})
    return tmp_path


def split(project, table):
    write_table(project / "work/prepared/manifest.csv", table)
    write_table(project / "work/balanced.csv", table)
    command = [sys.executable, str(ROOT / "stages/split.py")]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def report(project):
    return json.loads((project / "reports/split.json").read_text())


def leaking():
    """Return a table with twenty copies that prepare did not see as duplicates."""
    table = manifest({"covid": 50, "normal": 50})
    table.loc[:19, "pixels_sha256"] = "0" * 64
    return table


def waive(project, lines):
    text = (project / "params.yaml").read_text()
    kept = "\n".join(line for line in text.splitlines() if "waivers:" not in line)
    (project / "params.yaml").write_text(kept.replace("split:\n", f"split:\n  waivers:\n{lines}\n") + "\n")


def test_a_clean_table_is_split_and_reported(project):
    assert split(project, manifest({"covid": 50, "normal": 50})).returncode == 0
    assert len(pd.read_csv(project / "work/split.csv")) == 100
    found = report(project)
    assert list(found) == ["flow", "classes_by_split", "groups", "sha256", "sources", "audits"]
    assert [step["step"] for step in found["flow"]] == [
        *BEFORE, "distinct", "balanced", "train", "validation", "test",
    ]  # fmt: skip
    assert found["classes_by_split"]["test"] == {"covid": 10, "normal": 10}
    assert [audit["id"] for audit in found["audits"]] == [
        "flow", "leak_across_splits", "split_hygiene", "class_by_source_sample",
    ]  # fmt: skip


def test_planted_copies_of_an_image_stop_the_stage_after_the_report(project):
    done = split(project, leaking())
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert "One value of pixels_sha256 is in more than one split" in said
    assert "split.waivers.leak_across_splits: why" in said
    assert report(project)["audits"][1]["result"] == "fail"
    assert not (project / "work/split.csv").exists()


def test_a_waiver_lets_the_stage_go_on_and_stands_in_the_report(project):
    waive(project, "    leak_across_splits: the copies are wanted here")
    done = split(project, leaking())
    assert done.returncode == 0, done.stderr
    assert report(project)["audits"][1]["waiver"] == "the copies are wanted here"
    assert (project / "work/split.csv").exists()


def test_a_report_of_other_data_stops_the_stage(project):
    write_json(
        project / "reports/data.json", {"flow": [step | {"images": {"covid": 51, "normal": 50}} for step in FLOW]}
    )
    done = split(project, manifest({"covid": 50, "normal": 50}))
    assert done.returncode == 1
    assert "split.waivers.flow: why" in " ".join(done.stderr.split())


def test_a_waiver_of_no_audit_is_refused(project):
    waive(project, "    leak: typo")
    done = split(project, manifest({"covid": 50, "normal": 50}))
    assert done.returncode == 1
    assert "waivers for leak, which this stage does not audit" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("test", "validation", "words"),
    [
        ("0.5", "0.5", "split.validation is 0.5 and split.test is 0.5, so nothing is left to train on"),
        ("0.3", "0.16", "split.test is 0.3, which is not one k-th of the images; the nearest that are: 0.333 with"),
        ("0.5", "0.16", "split.validation is 0.16 and split.test is 0.5, so validation is not one k-th"),
    ],
)
def test_shares_that_cannot_be_stop_the_stage_with_the_keys_and_no_traceback(project, test, validation, words):
    text = (project / "params.yaml").read_text().replace("  test: 0.2\n", f"  test: {test}\n")
    (project / "params.yaml").write_text(text.replace("  validation: 0.16\n", f"  validation: {validation}\n"))
    done = split(project, manifest({"covid": 50, "normal": 50}))
    assert done.returncode == 1
    assert f"params.yaml: {words}" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_wrong_parameter_stops_a_stage_with_one_sentence(project):
    text = (project / "params.yaml").read_text().replace("  test: 0.2\n", "  test: many\n")
    (project / "params.yaml").write_text(text)
    done = split(project, manifest({"covid": 50, "normal": 50}))
    assert done.returncode == 1
    assert "params.yaml: split.test: input should be a valid number" in " ".join(done.stderr.split())
    assert "got 'many'" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
