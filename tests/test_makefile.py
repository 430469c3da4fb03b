"""`make repro-parallel` and `make demo` with a drawn `dvc` that only notes how it was called."""

import os
import re
import shutil
import subprocess

import pytest
from ruamel.yaml import YAML

from cxr.core.files import read_json
from tests.imports import ROOT
from tests.test_pipeline import NETWORKS as NAMES

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

DVC = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in
    "exp show"*) printf '%s' "$TABLE" ;;
    *"$FAILS") echo "said by $*"; exit 1 ;;
esac
"""
# As dvc exp show --md writes it.
TABLE = """\
| Experiment               | reports/metrics/cnn1.json:balanced_accuracy   | params.yaml:train_cnn1.dropout   |
|--------------------------|-----------------------------------------------|----------------------------------|
| workspace                | 0.36111                                       | 0.2                              |
| main                     | -                                             | 0.2                              |
| └── 638b6cd [slower]     | 0.33333                                       | 0.1                              |
"""
# Nested in another make, this one would wait for its job server.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
TRAININGS = [f"--wait-for-lock repro -s train_{name}" for name in NAMES]


FILES = ("Makefile", "dvc.yaml", "params.yaml", "params.demo.yaml")


def make(target, folder, fails="nothing"):
    """Run a target without `setup`; the call of dvc that ends with `fails` fails. Return status, output, calls."""
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x"]
    for command in (["init", "-q"], ["add", *FILES], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    (folder / "bin").mkdir()
    for name, text in {"dvc": DVC, "cxr-batch": '#!/bin/sh\necho screened >> "$CALLS"\n'}.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    done = again(target, folder, fails)
    return done.returncode, done.stdout + done.stderr, (folder / "calls").read_text().splitlines()


def again(target, folder, fails="nothing"):
    command = ["make", "-o", "setup", f"VENV={folder}", target]
    variables = ENVIRONMENT | {"FAILS": fails, "CALLS": str(folder / "calls"), "TABLE": TABLE}
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


def test_the_trainings_run_between_the_split_and_the_rest(tmp_path):
    status, said, calls = make("repro-parallel", tmp_path)
    assert status == 0, said
    assert calls[0] == "repro split"
    assert sorted(calls[1 : 1 + len(NAMES)]) == sorted(TRAININGS)
    assert calls[1 + len(NAMES) :] == ["repro", "status -q dvc.yaml"]


@pytest.mark.parametrize("name", NAMES)
def test_a_failed_training_is_named_and_noticed_and_the_others_go_on(name, tmp_path):
    status, said, calls = make("repro-parallel", tmp_path, f"train_{name}")
    assert status != 0
    assert f"{name:8} | said by --wait-for-lock repro -s train_{name}" in said.splitlines()
    assert sorted(calls[1:]) == sorted(TRAININGS)


@pytest.mark.parametrize("target", ["repro-parallel", "demo"])
def test_outputs_that_dvc_did_not_keep_are_an_error_and_not_a_success(target, tmp_path):
    status, said, calls = make(target, tmp_path, "status -q dvc.yaml")
    assert status != 0
    assert "if the disk is full, free some space, then run the same command again" in said
    assert calls[-1] == "status dvc.yaml"
    assert "screened" not in calls


def test_the_demo_says_what_comes_and_what_there_is_and_ends_with_screened_files(tmp_path):
    status, said, calls = make("demo", tmp_path)
    assert status == 0, said
    cache = f"cache dir -q --local {tmp_path}/.dvc/cache"
    assert calls == [cache, "pull data", "repro", "status -q dvc.yaml", "metrics show --precision 3", "screened"]
    for stage in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]:
        assert stage in said
    for path in ("reports/report.html", "results.csv", "sheet.html"):
        assert f"\n    {path} " in said


def test_the_demo_shortens_the_copy_alone_and_only_what_is_there(tmp_path):
    make("demo", tmp_path)
    before, after, shorter = (
        YAML(typ="safe").load(path)
        for path in (ROOT / "params.yaml", tmp_path / "work/demo/params.yaml", ROOT / "params.demo.yaml")
    )
    assert after == before | {name: before[name] | values for name, values in shorter.items()}
    assert all(values.keys() <= before[name].keys() for name, values in shorter.items())
    assert (tmp_path / "params.yaml").read_bytes() == (ROOT / "params.yaml").read_bytes()


def dry(target, tmp_path, *more):
    command = ["make", "-n", f"VENV={tmp_path}/new", *more, target]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout


def test_the_demo_installs_the_pipeline_and_the_tests_add_their_own_to_the_same_environment(tmp_path):
    assert "-e '.[pipeline]'" in dry("demo", tmp_path)
    assert "dev]" not in dry("demo", tmp_path)
    installs = [line for line in dry("test", tmp_path).splitlines() if "pip install" in line]
    assert [line.split(" -e ")[1] for line in installs] == ["'.[pipeline]'", "'.[pipeline,dev]'"]


def test_the_demo_takes_changes_along_that_are_not_committed_and_leaves_the_checkout_as_it_was(tmp_path):
    make("demo", tmp_path)
    text = (ROOT / "Makefile").read_text(encoding="utf-8") + "# changed\n"
    (tmp_path / "Makefile").write_text(text, encoding="utf-8")
    done = again("demo", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "work/demo/Makefile").read_text(encoding="utf-8") == text
    assert (tmp_path / "Makefile").read_text(encoding="utf-8") == text


@pytest.mark.skipif(shutil.which("column") is None, reason="column is not installed")
def test_experiments_are_a_table_of_short_names(tmp_path):
    status, said, (call,) = make("experiments", tmp_path)
    assert status == 0, said
    assert [line.split() for line in said.splitlines()] == [
        ["Experiment", "cnn1", "train_cnn1.dropout"],
        ["workspace", "0.36111", "0.2"],
        ["main", "-", "0.2"],
        ["└──", "638b6cd", "[slower]", "0.33333", "0.1"],
    ]
    (drop,) = re.findall("--drop (.*)", call)
    shown = [
        name
        for name in ("reports/metrics/cnn1.json:balanced_accuracy", "params.yaml:seed", "rev")
        if re.match(drop, name)
    ]
    assert shown == []
    for name in ("reports/metrics/cnn1.json:log_loss", "models/cnn1", "work/split.csv", "cxr/core", "Created"):
        assert re.match(drop, name), name
    for name in read_json(ROOT / "reports/metrics/cnn1.json"):
        assert re.match(drop, f"reports/metrics/cnn1.json:{name}") or name == "balanced_accuracy"
