"""A file whose decoder ends the process that does the run costs its row, with the real command."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import psutil
import pytest

from tests.cli.batches import read
from tests.imaging import faults
from tests.screening.hostile import encoded, picture
from tests.shipped import ungated

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a run goes on after a crash on Linux alone")

GOOD = [f"{number}.png" for number in range(6)]
BAD = {"2b.png": ("PNG", faults.SEGFAULT), "4b.jpg": ("JPEG", faults.ABORT)}
# Pillow in the process that does the run, and in its children, does not survive a file that is marked.
PROGRAM = """
import os, signal, time
from cxr.cli.batch import script
from cxr.imaging import decode
from tests.imaging import faults

decode_here = decode.decode_here
def killed(data, *arguments):
    if faults.MARK in data[-8:]:
        time.sleep(0.5)  # until what was decoded before is kept
        os.kill(os.getpid(), signal.SIGSEGV)
    return decode_here(data, *arguments)
decode.decode_here, decode._answered = killed, faults.answered
{more}
script()
"""


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("survival") / "scans"
    folder.mkdir()
    ungated(folder.parent / "model")
    for number, name in enumerate(GOOD):
        (folder / name).write_bytes(encoded(picture().rotate(number)))
    return folder


@pytest.fixture(scope="module")
def expected(scans: Path) -> dict[str, dict[str, str]]:
    """Return the rows of the good files alone; then the bad ones join them."""
    done = finished(scans, "-o", scans.parent / "good.csv")
    assert done.returncode == 0, done.stderr
    for name, (kind, fault) in BAD.items():
        (scans / name).write_bytes(faults.marked(encoded(picture(), kind), fault))
    return {row["path"]: row for row in read(scans.parent / "good.csv")}


def heed_signals() -> None:
    """A job in the background of a shell, or below nohup, as tests may be, is started with these ignored."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def started(scans: Path, *options: object, more: str = "", **pipes: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM.format(more=more), *options, "--model", scans.parent / "model"]
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        preexec_fn=heed_signals,
        **pipes,
    )


def finished(scans: Path, *options: object, text: str = "", more: str = "") -> subprocess.CompletedProcess[str]:
    inputs = () if "--files-from" in options or any(str(one).endswith(".zip") for one in options) else (scans,)
    process = started(scans, *inputs, *options, more=more, stdin=subprocess.PIPE)
    stdout, stderr = process.communicate(text, timeout=120)
    assert "Traceback" not in stderr
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def check(rows: list[dict[str, str]], expected: dict[str, dict[str, str]]) -> None:
    assert {row["path"]: row for row in rows if row["path"] in expected} == expected
    failed = {row["path"]: (row["status"], row["reason"]) for row in rows if row["path"] not in expected}
    assert failed == dict.fromkeys(BAD, ("error", "decoder_crashed"))
    assert len(rows) == len(GOOD) + len(BAD)


@pytest.mark.parametrize(
    "options",
    [
        ("--processes", 1),
        pytest.param(("--workers", 2, "--batch-size", 1), marks=pytest.mark.long),
        pytest.param(("--processes", 2), marks=pytest.mark.long),
    ],
)
def test_a_crash_costs_a_row_and_is_kept(
    options: tuple[object, ...], scans: Path, expected: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    output = tmp_path / "r.csv"
    done = finished(scans, "-o", output, *options)
    assert done.returncode == 3
    assert "ended by SIGSEGV" in done.stderr
    check(read(output), expected)
    before = output.read_bytes()
    again = finished(scans, "-o", output, *options)
    assert again.returncode == 3
    assert "6 of 8 files were done before" in again.stderr
    assert output.read_bytes() == before


@pytest.mark.long
def test_to_begin_anew_is_to_do_it_once(scans: Path, expected: dict[str, dict[str, str]], tmp_path: Path) -> None:
    output = tmp_path / "r.csv"
    for _ in range(2):
        done = finished(scans, "-o", output, "--workers", 1, "--batch-size", 1, "--overwrite", "--log-json")
        events = [json.loads(line) for line in done.stderr.splitlines()]
        kept = [one["kept"] for one in events if one["event"] == "resumed"]
        assert kept[0] == 0
        assert min(kept[1:]) > 0, "what the process did that died is not done again"
        check(read(output), expected)


@pytest.mark.long
def test_a_list_from_stdin_is_read_once(scans: Path, expected: dict[str, dict[str, str]], tmp_path: Path) -> None:
    listed = "\n".join(str(path) for path in sorted(scans.iterdir()))
    done = finished(scans, "--files-from", "-", "-o", tmp_path / "r.csv", text=listed)
    assert done.returncode == 3
    check(read(tmp_path / "r.csv"), expected)


@pytest.mark.usefixtures("expected")
def test_a_stream_has_each_row_once(scans: Path) -> None:
    done = finished(scans, "-o", "-", "--batch-size", 1, "--format", "jsonl")
    assert done.returncode == 3
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["path"] for row in rows] == sorted([*GOOD, *BAD])
    assert {row["path"] for row in rows if row["reason"] == "decoder_crashed"} == set(BAD)


@pytest.mark.long
def test_at_an_address(scans: Path, expected: dict[str, dict[str, str]], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "scans.zip", "w") as packed:
        for path in scans.iterdir():
            packed.write(path, path.name)
    done = finished(scans, f"zip://::{tmp_path}/scans.zip", "-o", tmp_path / "r.csv")
    assert done.returncode == 3, done.stderr
    check(read(tmp_path / "r.csv"), expected)


def test_what_crashes_before_a_file_is_decoded_is_not_tried_again(scans: Path, tmp_path: Path) -> None:
    more = "from cxr.cli import batch_run; batch_run._load_models = lambda *_, **__: os.kill(os.getpid(), 11)"
    done = finished(scans, "-o", tmp_path / "r.csv", more=more)
    assert done.returncode == -signal.SIGSEGV
    assert "goes on" not in done.stderr


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -15), (signal.SIGKILL, -9), (signal.SIGHUP, -1)]
)
def test_a_signal_reaches_the_process_that_does_the_run(
    number: signal.Signals, status: int, scans: Path, tmp_path: Path
) -> None:
    more = "from cxr.cli import batch_run; batch_run._load_models = lambda *_, **__: time.sleep(60)"
    process = started(scans, scans, "-o", tmp_path / "r.csv", more=more)
    while not (family := psutil.Process(process.pid).children(recursive=True)) or not list(tmp_path.iterdir()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == status
    assert ("interrupted" in stderr) == (number == signal.SIGINT)
    _, left = psutil.wait_procs(family, 10)
    assert not left
