"""A stage whose DVC is killed alone ends, whether or not a shell stands between the two."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.imports import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there a process does not learn that its parent is gone")

# Does what DVC does: runs the command with its shell, and names the stage in the environment.
DVC = """
import os, subprocess, sys
subprocess.run([sys.argv[1], "-c", sys.argv[2]], env=os.environ | {"DVC_STAGE": "train_cnn1"})
"""
STAGE = """
import os, time
from pathlib import Path
from cxr.cli.console import user_errors
from cxr.files import whole_file
with user_errors(), whole_file(Path("result")) as temporary:
    Path("stage.pid").write_text(str(os.getpid()))
    time.sleep(60)
"""
# A shell that has nothing to do afterwards may become its last command; this one has.
COMMANDS = {"direct": "exec {}", "through a shell": "{}; true"}


@pytest.fixture(params=COMMANDS)
def chain(request, tmp_path):
    """Give a running DVC and the number of its stage's process."""
    (tmp_path / "stage.py").write_text(STAGE)
    command = COMMANDS[request.param].format(f"{sys.executable} stage.py")
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-c", DVC, "/bin/sh", command]
    with subprocess.Popen(arguments, cwd=tmp_path, env=variables, stderr=subprocess.PIPE, text=True) as dvc:
        while not (text := _text(tmp_path / "stage.pid")):
            assert dvc.poll() is None
            time.sleep(0.01)
        yield dvc, int(text)


def _text(path):
    return path.read_text() if path.exists() else ""


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_killed_alone_dvc_takes_its_stage_along_and_no_temporary_file_stays(chain, tmp_path):
    dvc, stage = chain
    dvc.send_signal(signal.SIGKILL)
    end = time.monotonic() + 10
    while alive(stage) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(stage)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["stage.pid", "stage.py"]
    assert dvc.stderr.read() == (
        "train_cnn1: the dvc that ran this stage is gone, so it ends; run dvc repro again\n"
        "interrupted; run the same command again\n"
    )


def test_while_dvc_is_there_its_stage_runs_on_and_a_termination_is_like_ctrl_c(chain, tmp_path):
    dvc, stage = chain
    time.sleep(1.2)  # the watch has looked twice
    assert alive(stage)
    os.kill(stage, signal.SIGTERM)
    dvc.wait(10)
    assert dvc.stderr.read() == "interrupted; run the same command again\n"
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["stage.pid", "stage.py"]


def test_without_proc_the_system_is_asked_for_parents_and_names(monkeypatch):
    from cxr.cli import orphan

    here = os.getppid(), orphan.name_of(os.getpid())
    assert orphan.parent_of(os.getpid()) == here[0]
    monkeypatch.setattr(orphan, "PROC", ROOT / "nowhere")
    if subprocess.run(["which", "ps"], capture_output=True, check=False).returncode:
        pytest.skip("ps is not installed here")
    assert orphan.parent_of(os.getpid()) == here[0]
    assert here[1].startswith(orphan.name_of(os.getpid())[:15])


def test_a_process_that_is_gone_has_neither_parent_nor_name():
    from cxr.cli import orphan

    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert orphan.parent_of(gone.pid) is None
    assert orphan.name_of(gone.pid) == ""


def test_outside_of_dvc_nothing_is_watched(monkeypatch):
    import threading

    from cxr.cli.orphan import end_with_dvc

    monkeypatch.delenv("DVC_STAGE", raising=False)
    before = threading.active_count(), signal.getsignal(signal.SIGTERM)
    end_with_dvc()
    assert (threading.active_count(), signal.getsignal(signal.SIGTERM)) == before
