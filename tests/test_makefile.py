"""`make repro-parallel` and `make demo` with a drawn `dvc` that only notes how it was called."""

import os
import shutil
import subprocess

import pytest

from tests.imports import ROOT
from tests.test_pipeline import NETWORKS as NAMES

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

DVC = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in
    *"$FAILS") echo "said by $*"; exit 1 ;;
esac
"""
# Nested in another make, this one would wait for its job server.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
TRAININGS = [f"--wait-for-lock repro -s train_{name}" for name in NAMES]


def make(target, folder, fails="nothing"):
    """Run a target without `setup`; the call of dvc that ends with `fails` fails. Return status, output, calls."""
    for name in ("Makefile", "dvc.yaml"):
        shutil.copy(ROOT / name, folder)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x"]
    for command in (["init", "-q"], ["add", "Makefile", "dvc.yaml"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    (folder / "bin").mkdir()
    for name, text in {"dvc": DVC, "cxr-batch": '#!/bin/sh\necho screened >> "$CALLS"\n'}.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    done = again(target, folder, fails)
    return done.returncode, done.stdout + done.stderr, (folder / "calls").read_text().splitlines()


def again(target, folder, fails="nothing"):
    command = ["make", "-o", "setup", f"VENV={folder}", target]
    variables = ENVIRONMENT | {"FAILS": fails, "CALLS": str(folder / "calls")}
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


def test_the_demo_ends_with_screened_files(tmp_path):
    status, said, calls = make("demo", tmp_path)
    assert status == 0, said
    cache = f"cache dir -q --local {tmp_path}/.dvc/cache"
    assert calls == [cache, "pull data", "repro", "status -q dvc.yaml", "metrics show", "screened"]


def test_the_demo_takes_changes_along_that_are_not_committed_and_leaves_the_checkout_as_it_was(tmp_path):
    make("demo", tmp_path)
    text = (ROOT / "Makefile").read_text(encoding="utf-8") + "# changed\n"
    (tmp_path / "Makefile").write_text(text, encoding="utf-8")
    done = again("demo", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "work/demo/Makefile").read_text(encoding="utf-8") == text
    assert (tmp_path / "Makefile").read_text(encoding="utf-8") == text
