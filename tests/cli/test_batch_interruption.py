"""A run that is ended from outside, as its user sees it."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from cxr.screening.journal import Journal
from tests.cli.batches import run
from tests.imports import ROOT
from tests.screening.drawings import save


@pytest.mark.usefixtures("model")
def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    for number in range(96):
        save(scans, f"{number:02}.png", (number, 2 * number, 100))
    program = f"""
        import sys, time
        sys.path.insert(0, {str(ROOT)!r})
        import cxr.model_folder
        from cxr.cli.batch import app
        from tests.screening.fakes import FakeModel, FakeNetwork, by_brightness
        seen = []
        def slow(planes):
            seen.append(1)
            if len(seen) == 2:
                print("started", flush=True)
                for _ in range(600):  # a signal just before one long sleep would be noticed after it
                    time.sleep(0.1)
            return by_brightness(planes)
        cxr.model_folder.load_model = lambda *_: FakeModel(FakeNetwork(slow))
        app([{str(scans)!r}, "-o", {str(tmp_path / "r.csv")!r}, "--processes", "1", "--batch-size", "32"])
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has them ignore Ctrl-C, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted; what was done is kept: run the same command again to go on" in stderr
    assert not (tmp_path / "r.csv").exists()
    with Journal(tmp_path / "r.csv.journal") as journal:
        assert len(list(journal.records())) == 32
    assert "going on: 32 of 96 files" in run(scans, "-o", tmp_path / "r.csv").stderr
    run(scans, "-o", tmp_path / "whole.csv")
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")
@pytest.mark.usefixtures("model")
def test_ctrl_c_reaches_all_processes_and_the_first_one_ends_the_others(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    for number in range(200):
        save(scans, f"{number:03}.png", (number, number // 2, 100))
    program = f"""
        import sys, time
        sys.path.insert(0, {str(ROOT)!r})
        import cxr.model_folder
        from cxr.cli.batch import app
        from tests.screening.fakes import FakeModel, FakeNetwork, by_brightness
        def slow(planes):
            time.sleep(0.1)
            return by_brightness(planes)
        cxr.model_folder.load_model = lambda *_: FakeModel(FakeNetwork(slow))
        app([{str(scans)!r}, "-o", {str(tmp_path / "r.csv")!r}, "--processes", "3", "--batch-size", "4"])
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    helpers: list[psutil.Process] = []
    journal = tmp_path / "r.csv.journal"
    while not journal.exists() or journal.read_bytes().count(b"\n") < 20:
        assert process.poll() is None
        helpers = psutil.Process(process.pid).children()
        time.sleep(0.01)
    assert len(helpers) == 2
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted; what was done is kept: run the same command again to go on" in stderr
    assert "Traceback" not in stderr
    assert not any(helper.is_running() for helper in helpers)
    run(scans, "-o", tmp_path / "r.csv")
    run(scans, "-o", tmp_path / "whole.csv")
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
