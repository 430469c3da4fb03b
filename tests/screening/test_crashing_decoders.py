"""A file whose decoder takes its process with it gets a row of its own, and changes no other."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit
from typer.testing import CliRunner

from cxr.cli.tables import verify_app
from cxr.imaging import decode, isolation, pixel_data
from cxr.inference.model_folder import load_model
from cxr.screening.journal import TRIES, Parts, begin_parts, fingerprint_of
from cxr.screening.ray_engine import Worker, packed, worker_payload
from cxr.screening.workers import worker_config
from tests.cli.batches import read, run
from tests.dicoms import save_dicom
from tests.imaging import faults
from tests.screening.hostile import deep, drawn, encoded, picture
from tests.screening.works import work_on
from tests.shipped import ungated

GOOD = ("a.png", "f.dcm", "m.png", "r.dcm", "z.png")
BAD = {
    "b-segfault.tif": (faults.SEGFAULT, "decoder_crashed"),
    "g-abort.webp": (faults.ABORT, "decoder_crashed"),
    "n-hang.gif": (faults.HANG, "decoder_crashed"),
    "s-memory.bmp": (faults.DEVOUR, "out_of_memory"),
}
FORMATS = {".tif": "TIFF", ".webp": "WEBP", ".gif": "GIF", ".bmp": "BMP"}


def jpeg_dicom(path: Path, data: bytes, rows: int, columns: int) -> None:
    """Write a DICOM object around a JPEG."""
    save_dicom(path, np.zeros((rows, columns), np.uint8))
    dataset = dcmread(path)
    dataset.PixelData = encapsulate([data])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.save_as(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pictures: three that need no child, one that is compressed, one that is not."""
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in ("a.png", "m.png", "z.png"):
        (scans / name).write_bytes(encoded(picture()))
    save_dicom(scans / "f.dcm", deep(12), compress=True, BitsStored=12, HighBit=11)
    save_dicom(scans / "r.dcm", deep(12), BitsStored=12, HighBit=11)
    return scans


def screened(folder: Path, *options: object) -> tuple[int, list[dict[str, str]]]:
    output = folder.parent / "r.csv"
    model = folder.parent / "model"
    result = run(folder, "-o", output, "--model", model if model.exists() else ungated(model), *options)
    assert "Traceback" not in result.output
    return result.exit_code, read(output)


@pytest.mark.parametrize("processes", [1, 2])
def test_decoders_that_crash_hang_and_devour(processes: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--processes", processes, "--file-timeout", 2, "--batch-size", 2)
    status, alone = screened(folder, *options, "--overwrite")
    assert (status, [row["path"] for row in alone]) == (0, list(GOOD))
    monkeypatch.setattr(decode, "_answered", faults.answered)
    for name, (fault, _) in BAD.items():
        whole = encoded(picture(), FORMATS[Path(name).suffix])
        (folder / name).write_bytes(faults.marked(whole, fault))
    status, rows = screened(folder, *options, "--overwrite")
    assert status == 3
    assert [row for row in rows if row["path"] in GOOD] == alone
    failed = {row["path"]: row for row in rows if row["path"] not in GOOD}
    assert {name: row["reason"] for name, row in failed.items()} == {name: reason for name, (_, reason) in BAD.items()}
    assert {row["status"] for row in failed.values()} == {"error"}
    assert failed["n-hang.gif"]["detail"] == "decoding was not done after 2 s"
    monkeypatch.undo()
    status, again = screened(folder, *options)
    assert [row for row in again if row["path"] in GOOD] == alone
    assert {row["status"] for row in again} == {"ok"}, "they are tried again, and now they can be decoded"


@pytest.fixture
def killer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a PNG that ends every process in which it is decoded."""

    def killed(data: bytes, *arguments: Any) -> Any:
        if faults.MARK not in data:
            return decode_here(data, *arguments)
        assert os.getpid() != own, "the process that must survive decodes it"
        return os.kill(os.getpid(), signal.SIGKILL)

    own, decode_here = os.getpid(), decode.decode_here
    monkeypatch.setattr(decode, "decode_here", killed)
    monkeypatch.setattr(decode, "_answered", faults.answered)
    path = folder / "0.png"
    path.write_bytes(faults.marked(encoded(picture()), faults.SEGFAULT))
    return path


def test_a_plain_file_that_ends_a_helping_process(killer: Path) -> None:
    _, rows = screened(killer.parent, "--processes", 2, "--batch-size", 1)  # the first files are given to the helper
    assert {row["path"]: row["reason"] for row in rows} == {"0.png": "decoder_crashed"} | dict.fromkeys(GOOD, "")


def test_a_plain_file_that_ended_a_worker_of_ray(killer: Path) -> None:
    folder = killer.parent
    work = work_on(folder, [load_model(ungated(folder.parent / "model"))])
    parts, fingerprint = folder.parent / "r.csv.parts", fingerprint_of(work.models, work.request.naming, ())
    begin_parts(parts, fingerprint)
    (parts / f"00000000{TRIES}").write_bytes(b".")  # of the one that died
    Worker(worker_payload(work, parts, fingerprint))({"part": 0, "candidates": packed(work.selection.candidates)})
    with Parts(parts) as log:
        reasons = {record.path: record.cells[1] for _, record in log.records() if record.cells}
    assert reasons == {"0.png": "decoder_crashed"} | dict.fromkeys(GOOD, "")


def test_an_odd_version_of_jfif_costs_no_picture(folder: Path) -> None:
    """There are decoders that call `abort` where it is none that they know."""
    buffer = io.BytesIO()
    Image.fromarray(drawn()).save(buffer, "JPEG", quality=95)
    data = buffer.getvalue()
    place = data.index(b"JFIF\0") + 5
    jpeg_dicom(folder / "c.dcm", data, *drawn().shape)
    jpeg_dicom(folder / "k.dcm", data[:place] + b"\x02" + data[place + 1 :], *drawn().shape)
    _, rows = screened(folder, "--processes", 2)
    assert [row["path"] for row in rows] == sorted([*GOOD, "c.dcm", "k.dcm"])
    assert {row["status"] for row in rows} == {"ok"}
    c, k = (row for row in rows if row["path"] in ("c.dcm", "k.dcm"))
    assert c["brightness"] == k["brightness"]


def test_a_compressed_picture_larger_than_its_header_is_not_decoded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jpeg_dicom(folder / "c.dcm", encoded(picture(size=(300, 200)), "JPEG"), 160, 160)
    monkeypatch.setattr(pixel_data, "_by_pillow", faults.raising)
    monkeypatch.setattr(decode, "is_plain", lambda *_: True)
    _, rows = screened(folder, "--processes", 1)
    (row,) = [row for row in rows if row["path"] == "c.dcm"]
    assert (row["status"], row["reason"]) == ("error", "unreadable")
    assert row["detail"] == "its compressed data are of 300 x 200 pixels; Columns x Rows is 160 x 160"


@pytest.mark.parametrize("frames", [2, 3])
def test_more_pixels_than_the_header_says(frames: int, folder: Path) -> None:
    save_dicom(folder / "c.dcm", np.zeros((100, 100), np.uint8), PixelData=bytes(frames * 100 * 100))
    _, rows = screened(folder, "--processes", 1)
    (row,) = [row for row in rows if row["path"] == "c.dcm"]
    assert (row["status"], row["reason"]) == ("error", "unreadable")
    assert row["detail"]


def test_plain_files_are_decoded_where_they_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_child(*_: object) -> None:
        raise AssertionError("a child was started")

    isolation._end_idle()
    monkeypatch.setattr(isolation._Child, "__init__", no_child)
    for name in ("f.dcm", "r.dcm"):
        (folder / name).unlink()
    (folder / "s.jpg").write_bytes(encoded(picture(), "JPEG"))
    assert screened(folder, "--processes", 1)[0] == 0


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time limits that decoding is given."""
    limits: list[float] = []

    def noted(function: Any, *arguments: object, seconds: float) -> isolation.Answer:
        limits.append(seconds)
        return isolation.isolated(function, *arguments, seconds=seconds)

    monkeypatch.setattr(decode, "isolated", noted)
    return limits


@pytest.mark.parametrize("options", [("--processes", 1), ("--workers", 2), ("--threads", 1)])
def test_the_time_limit_reaches_the_decoder(options: tuple[object, ...], folder: Path, told: list[float]) -> None:
    assert screened(folder, *options)[0] == 0
    assert screened(folder, *options, "--file-timeout", 7, "--overwrite")[0] == 0
    assert screened(folder, *options, "--file-timeout", 0, "--overwrite")[0] == 0
    assert told == [60, 60, 7, 7, 0, 0]


def test_the_time_limit_reaches_the_decoder_of_a_stream(folder: Path, told: list[float]) -> None:
    assert run(folder, "-o", "-", "--file-timeout", 7, "--model", ungated(folder.parent / "model")).exit_code == 0
    assert told == [7, 7]


def test_the_time_limit_reaches_other_processes(folder: Path, told: list[float]) -> None:
    work = work_on(folder, [load_model(ungated(folder.parent / "model"))], seconds=7)
    assert worker_config(work).reading.seconds == 7
    parts, fingerprint = folder.parent / "r.csv.parts", fingerprint_of(work.models, work.request.naming, ())
    begin_parts(parts, fingerprint)
    worker = Worker(worker_payload(work, parts, fingerprint))
    worker({"part": 0, "candidates": packed(work.selection.candidates)})
    assert told == [7, 7]


def test_the_time_limit_reaches_verification(folder: Path, told: list[float]) -> None:
    assert screened(folder, "--processes", 1)[0] == 0
    table, model = str(folder.parent / "r.csv"), str(folder.parent / "model")
    for limit in ([], ["--file-timeout", "7"]):
        done = CliRunner().invoke(verify_app, [table, "--model", model, "--rescore", "9", *limit])
        assert done.exit_code == 0, done.output
    assert told == [60] * 4 + [7] * 2


def test_a_run_goes_on_with_another_time_limit(folder: Path, told: list[float]) -> None:
    assert screened(folder, "--processes", 1)[0] == 0
    assert screened(folder, "--processes", 1, "--file-timeout", 7)[0] == 0
    assert told == [60, 60], "what has an answer is not screened again"


@pytest.mark.parametrize(
    "options", [("--workers", "2"), ("--processes", "3"), pytest.param(("--processes", "1"), marks=pytest.mark.long)]
)
def test_ctrl_c_waits_for_no_decoder(options: tuple[str, ...], folder: Path) -> None:
    for number in range(4):
        (folder / f"b{number}.gif").write_bytes(faults.marked(encoded(picture(), "GIF"), faults.HANG))
    command = [str(folder), "-o", str(folder.parent / "r.csv"), "--model", str(ungated(folder.parent / "model"))]
    program = (
        "from cxr.cli.batch import app; from cxr.imaging import decode; from tests.imaging import faults;"
        f"decode._answered = faults.answered; app({[*command, *options, '--batch-size', '1']!r})"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        start_new_session=True,
        # A shell that runs the tests in the background has them ignore Ctrl-C, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    family: list[psutil.Process] = []
    while not any("serve()" in " ".join(one.cmdline()) for one in family):
        assert process.poll() is None
        family = psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.1)
    time.sleep(3)  # they have started, and decode
    begin = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    assert time.monotonic() - begin < 10, "not the 60 s of --file-timeout"
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in family)
