"""Runs that are killed, and disks that fill up, with the real command in its own process."""

import json
import os
import random
import resource
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr.screening.journal import Journal
from tests.commands import finish, start

pytestmark = pytest.mark.long

FILES, KILLS = 600, 30


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills") / "scans"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(FILES):
        noise = generator.integers(0, 256, (299, 299), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number:03}.png", compress_level=1)
    (folder / "000-empty.png").write_bytes(b"")
    (folder / "notes").write_text("no picture")
    return folder


def lines(output: Path) -> int:
    journal = output.with_name(f"{output.name}.journal")
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def wait_for_lines(process: subprocess.Popen[str], output: Path, number: int) -> None:
    while lines(output) < number and process.poll() is None:
        time.sleep(0.002)


@pytest.fixture(scope="module")
def expected(scans: Path) -> tuple[bytes, float]:
    """Give the bytes of a run that nobody disturbs, and its seconds."""
    output, begin = scans.parent / "expected.csv", time.monotonic()
    assert finish(start(scans, output)) == (3, "")
    return output.read_bytes(), time.monotonic() - begin


def test_killed_at_random_moments_and_run_again_the_bytes_are_those_of_an_undisturbed_run(
    scans: Path, expected: tuple[bytes, float], tmp_path: Path
) -> None:
    moments, equal, kept = random.Random(7), 0, []
    for number in range(KILLS):
        output = tmp_path / f"{number}.csv"
        process = start(scans, output)
        # Half of the moments anywhere in a run, half while it screens.
        wait_for_lines(process, output, moments.randrange(FILES) if number % 2 else 0)
        time.sleep(moments.uniform(0, 0.03 if number % 2 else expected[1]))
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept.append(lines(output))
        assert not output.exists() or output.read_bytes() == expected[0], "half a table"
        assert finish(start(scans, output)) == (3, "")
        equal += output.read_bytes() == expected[0]
        facts = json.loads(output.with_suffix(".manifest.json").read_text())
        assert facts["counts"]["discovered"] == FILES + 2
    assert equal == KILLS
    assert len(set(kept)) > KILLS // 3, f"the kills hit no different moments: {kept}"


def test_killed_again_and_again_the_run_still_ends(scans: Path, expected: tuple[bytes, float], tmp_path: Path) -> None:
    output, rounds = tmp_path / "r.csv", 0
    while not output.exists():
        process = start(scans, output)
        wait_for_lines(process, output, lines(output) + FILES // 8)  # not a time: a busy machine may need it to start
        process.kill()
        process.wait()
        rounds += 1
        assert rounds < 30
    assert rounds > 2, "the kills hit nothing"
    assert finish(start(scans, output)) == (3, "")
    assert output.read_bytes() == expected[0]


def test_ctrl_c_has_status_130_and_leaves_a_readable_journal(
    scans: Path, expected: tuple[bytes, float], tmp_path: Path
) -> None:
    # A shell in the background has its children ignore Ctrl-C.
    process = start(scans, tmp_path / "r.csv", before=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    wait_for_lines(process, tmp_path / "r.csv", 2)
    process.send_signal(signal.SIGINT)
    status, stderr = finish(process)
    assert (status, stderr) == (130, "interrupted; what was done is kept: run the same command again to go on\n")
    with Journal(tmp_path / "r.csv.journal") as kept:
        assert 0 < len(list(kept.records())) < FILES
    assert finish(start(scans, tmp_path / "r.csv"))[0] == 3
    assert (tmp_path / "r.csv").read_bytes() == expected[0]


@pytest.mark.parametrize("share", [0.0001, 0.2, 0.6, 0.99])
def test_a_disk_that_is_full_stops_the_run_and_loses_nothing(
    share: float, scans: Path, expected: tuple[bytes, float], tmp_path: Path
) -> None:
    whole = (scans.parent / "expected.csv.journal").stat().st_size
    limit = max(1, int(whole * share))
    process = start(
        scans,
        tmp_path / "r.csv",
        before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)),
    )
    status, stderr = finish(process)
    assert status == 1
    assert stderr.startswith("error: cannot write ")
    assert "File too large" in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "r.csv").exists()
    assert finish(start(scans, tmp_path / "r.csv"))[0] == 3
    assert (tmp_path / "r.csv").read_bytes() == expected[0]


def test_a_real_file_system_without_room_stops_the_run_and_loses_nothing(
    scans: Path, expected: tuple[bytes, float], tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], check=False).returncode
    ):
        pytest.skip("a small file system cannot be mounted here")
    try:
        status, stderr = finish(start(scans, small / "r.csv"))
        assert status == 1
        assert "No space left on device" in stderr
        assert not (small / "r.csv").exists()
        subprocess.run(["mount", "-o", "remount,size=64m", small], check=True)
        assert finish(start(scans, small / "r.csv"))[0] == 3
        assert (small / "r.csv").read_bytes() == expected[0]
    finally:
        subprocess.run(["umount", small], check=True)
