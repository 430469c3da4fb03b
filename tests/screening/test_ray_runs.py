"""The command with `--engine ray`: the same bytes as without, whatever happens to workers."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.commands import finish, start
from tests.remote.s3 import KEYS, s3_server, upload

pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")

FILES = 700  # three slices


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray") / "scans"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(FILES):
        noise = generator.integers(0, 256, (40, 40), dtype=np.uint8)
        Image.fromarray(noise).resize((299, 299)).save(folder / f"{number:03}.png", compress_level=1)
    (folder / "000-empty.png").write_bytes(b"")
    (folder / "notes").write_text("no picture")
    return folder


def manifest(output: Path) -> dict[str, object]:
    return json.loads(output.with_suffix(".manifest.json").read_text())


@pytest.fixture(scope="module")
def expected(scans: Path) -> Path:
    output = scans.parent / "local.csv"
    assert finish(start(scans, output)) == (3, "")
    return output


def wait_for_part(process: subprocess.Popen[str], output: Path) -> None:
    folder = output.with_name(f"{output.name}.parts")
    while not list(folder.glob("*.part")) and process.poll() is None:
        time.sleep(0.005)


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return [one for one in psutil.Process(process.pid).children(recursive=True) if "MapWorker" in one.name()]


def test_two_workers_give_the_bytes_of_one_process(scans: Path, expected: Path, tmp_path: Path) -> None:
    output = tmp_path / "r.csv"

    assert finish(start(scans, output, "--engine", "ray", "--workers", "2")) == (3, "")

    assert output.read_bytes() == expected.read_bytes()
    ours, theirs = manifest(output), manifest(expected)
    for part in ("counts", "fingerprint", "listing", "aside", "drift", "models", "gate"):
        assert ours[part] == theirs[part]
    status, stderr = finish(start(scans, output))
    assert status == 1
    assert "was begun with --engine ray, see r.csv.parts: go on with that, or start over with --overwrite" in stderr


@pytest.mark.long
def test_a_worker_killed_in_the_middle_costs_no_row(scans: Path, expected: Path, tmp_path: Path) -> None:
    output = tmp_path / "r.csv"
    process = start(scans, output, "--engine", "ray", "--workers", "2")
    wait_for_part(process, output)
    victim = workers_of(process)[0]
    os.kill(victim.pid, signal.SIGKILL)
    assert process.poll() is None, "it had ended before the worker was killed"

    assert finish(process)[0] == 3
    assert output.read_bytes() == expected.read_bytes()


@pytest.mark.long
def test_the_same_command_goes_on_after_the_first_process_was_killed(
    scans: Path, expected: Path, tmp_path: Path
) -> None:
    output = tmp_path / "r.csv"
    process = start(scans, output, "--engine", "ray", "--workers", "1")
    wait_for_part(process, output)
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(below, timeout=150)
    assert not alive, "processes of Ray outlived the command"
    assert not output.exists()

    assert finish(start(scans, output, "--engine", "ray"))[0] == 3
    assert output.read_bytes() == expected.read_bytes()
    assert manifest(output)["times"]["screened_now"] < FILES  # type: ignore[index]


@pytest.mark.long
def test_ctrl_c_ends_with_130_and_leaves_no_process(scans: Path, tmp_path: Path) -> None:
    output = tmp_path / "r.csv"
    process = start(scans, output, "--engine", "ray", "--workers", "1")
    wait_for_part(process, output)
    below = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    status, stderr = finish(process)
    assert status == 130
    assert "interrupted; what was done is kept" in stderr
    _, alive = psutil.wait_procs(below, timeout=150)
    assert not alive


@pytest.mark.long
def test_workers_read_a_bucket_themselves(
    scans: Path, expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "r.csv"
    with s3_server(tmp_path / "moto.log") as port:
        for name, value in (KEYS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}).items():
            monkeypatch.setenv(name, value)
        upload(scans, "films", f"http://127.0.0.1:{port}")
        assert finish(start("s3://films/scans", output, "--engine", "ray"))[0] == 3
    assert output.read_bytes() == expected.read_bytes()
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(KEYS["AWS_SECRET_ACCESS_KEY"].encode() in data for data in written)


def test_a_cluster_that_is_not_there_is_named(scans: Path, tmp_path: Path) -> None:
    status, stderr = finish(start(scans, tmp_path / "r.csv", "--engine", "ray", "--address", "127.0.0.1:1"))
    assert status == 1
    assert "Ray at 127.0.0.1:1 cannot be reached" in stderr
