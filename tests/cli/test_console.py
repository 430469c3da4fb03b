"""A stage whose DVC is killed alone ends, whether or not a shell stands between the two."""

import errno
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import typer

from cxr.cli import console
from cxr.cli.console import user_errors
from cxr.core.errors import DataError
from cxr.core.manifest import write_images
from tests.imports import ROOT

has_parents = pytest.mark.skipif(os.name == "nt", reason="there a process does not learn that its parent is gone")


def raised(error):
    with user_errors():
        raise error


@pytest.mark.parametrize(
    ("command", "loaded"),
    [
        ("batch", "cxr.cli.batch"),
        ("batch", "cxr.cli.batch_run"),
        ("batch_merge", "cxr.cli.tables"),
        ("verify", "cxr.core.tabular_files"),
        ("data", "cxr.cli.data"),
        ("evaluate", "cxr.cli.eval"),
        ("folds", "cxr.cli.folds"),
        ("model", "cxr.cli.model"),
    ],
)
def test_ctrl_c_while_modules_are_loaded_is_a_sentence(command, loaded, tmp_path):
    code = f"""
import os, signal, sys, cxr.cli.start
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {loaded!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
sys.argv = ["command", "films", "-o", "r.csv"]
cxr.cli.start.{command}()
"""
    (tmp_path / "films").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ROOT},
        # A shell's job in the background, as tests may be, is started with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert (done.returncode, done.stderr) == (130, "interrupted; run the same command again\n")


ONCE_CAUGHT = """
import os, signal, time
from cxr.cli.console import user_errors
from cxr.core.process import begin
signal.signal(signal.SIGINT, signal.default_int_handler)
begin()
with user_errors():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
    finally:
        print("put away")
"""


def test_ctrl_c_is_an_exception_again_once_somebody_catches_it():
    done = subprocess.run([sys.executable, "-c", ONCE_CAUGHT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "put away\n")
    assert done.stderr == "interrupted; run the same command again\n"


def test_a_users_error_is_one_line_and_status_1(capsys):
    with pytest.raises(SystemExit) as status:
        raised(DataError("data/[left] is gone; fetch it"))
    assert status.value.code == 1
    assert capsys.readouterr().err.strip() == "error: data/[left] is gone; fetch it"


def test_a_missing_extra_is_named_with_the_remedy(capsys):
    with pytest.raises(SystemExit):
        raised(ModuleNotFoundError("No module named 'pandas'", name="pandas"))
    assert "pip install '.[pipeline]'" in capsys.readouterr().err


@pytest.mark.parametrize("bug", [ValueError("bug"), ModuleNotFoundError("x", name="cxr.nothing")])
def test_a_bug_keeps_its_trace(bug):
    with pytest.raises(type(bug)):
        raised(bug)


def test_commands_pass_their_own_exit_status_through():
    with pytest.raises(typer.Exit):
        raised(typer.Exit(3))


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "No space left on device; free some space"),
        (errno.EROFS, "Read-only file system; the disk is read-only: give a place on another one"),
        (errno.ESTALE, "Stale file handle; the network share has lost it: mount the share anew"),
        (errno.ENOENT, "No such file or directory; it was moved or removed: put it back"),
    ],
)
def test_what_the_system_refuses_is_one_line_with_the_file_and_the_remedy(number, remedy, capsys):
    with pytest.raises(SystemExit) as status:
        raised(OSError(number, "HDF5 says more than a person wants", "models/cnn1/model.weights.h5"))
    assert status.value.code == 1
    said = f"cannot read or write models/cnn1/model.weights.h5: {remedy}, then run the same command again"
    assert capsys.readouterr().err.strip() == f"error: {said}"


def test_an_error_of_a_library_that_the_system_knows_nothing_of_keeps_its_trace():
    with pytest.raises(OSError, match="no HDF5"):
        raised(OSError("no HDF5 file"))


def test_the_reason_is_named_also_where_numpy_would_lose_its_number(tmp_path, capsys):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(SystemExit), user_errors():
            write_images(tmp_path / "images.npy", np.zeros((10, 100, 100), np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert capsys.readouterr().err.strip() == (
        f"error: cannot write {tmp_path / 'images.npy'}: File too large; larger files are not allowed here: raise "
        "'ulimit -f', or give a place on another disk, then run the same command again"
    )
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_is_one_line_and_status_130_within_a_command_and_around_one(capsys):
    for interrupted in (KeyboardInterrupt(), SystemExit(130)):
        with pytest.raises(SystemExit) as status, user_errors():
            raised(interrupted)
        assert status.value.code == 130
        assert capsys.readouterr().err == "interrupted; run the same command again\n"


# Does what DVC does: runs the command with its shell, and names the stage in the environment.
DVC = """
import os, subprocess, sys
subprocess.run([sys.argv[1], "-c", sys.argv[2]], env=os.environ | {"DVC_STAGE": "train_cnn1"})
"""
STAGE = """
import os, time
from pathlib import Path
from cxr.cli.console import user_errors
from cxr.core.files import whole_file
with user_errors(), whole_file(Path("result")) as temporary:
    stderr = os.dup(2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # as while TensorFlow is loaded
    Path("stage.pid").write_text(str(os.getpid()))
    try:
        time.sleep(60)
    finally:
        os.dup2(stderr, 2)
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


@has_parents
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


@has_parents
def test_while_dvc_is_there_its_stage_runs_on_and_a_termination_is_like_ctrl_c(chain, tmp_path):
    dvc, stage = chain
    time.sleep(1.2)  # the watch has looked twice
    assert alive(stage)
    os.kill(stage, signal.SIGTERM)
    dvc.wait(10)
    assert dvc.stderr.read() == "interrupted; run the same command again\n"
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["stage.pid", "stage.py"]


@has_parents
def test_without_proc_the_system_is_asked_for_parents_and_names(monkeypatch):
    from cxr.cli import console

    here = os.getppid(), console.name_of(os.getpid())
    assert console.parent_of(os.getpid()) == here[0]
    monkeypatch.setattr(console, "PROC", ROOT / "nowhere")
    if subprocess.run(["which", "ps"], capture_output=True, check=False).returncode:
        pytest.skip("ps is not installed here")
    assert console.parent_of(os.getpid()) == here[0]
    assert here[1].startswith(console.name_of(os.getpid())[:15])


@has_parents
def test_a_process_that_is_gone_has_neither_parent_nor_name():
    from cxr.cli import console

    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert console.parent_of(gone.pid) is None
    assert console.name_of(gone.pid) == ""


@has_parents
def test_outside_of_dvc_nothing_is_watched(monkeypatch):
    import threading

    from cxr.cli.console import start_parent_watchdog

    monkeypatch.delenv("DVC_STAGE", raising=False)
    before = threading.active_count(), signal.getsignal(signal.SIGTERM)
    start_parent_watchdog()
    assert (threading.active_count(), signal.getsignal(signal.SIGTERM)) == before


INTERRUPTED_IN_C = """
import os, signal, sys, time
from cxr.cli.console import user_errors
with user_errors():
    try:
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))
        time.sleep(10)
    except KeyboardInterrupt:
        raise SystemError("bad argument to internal function") from None
"""


@has_parents
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_what_a_library_makes_of_an_interruption_is_one_still(name):
    environment = os.environ | {"DVC_STAGE": "train_cnn1"}
    command = [sys.executable, "-c", INTERRUPTED_IN_C, name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted; run the same command again\n")


def test_a_long_loop_says_how_far_it_is_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr(console, "LINE_SECONDS", 0.0)
    assert list(console.bars("abc", "decoding", 3)) == ["a", "b", "c"]
    assert capsys.readouterr().err == "decoding: 0 of 3\ndecoding: 1 of 3\ndecoding: 2 of 3\n"
    monkeypatch.setattr(console, "LINE_SECONDS", 60.0)
    assert list(console.bars("abc", "decoding", 3)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""
