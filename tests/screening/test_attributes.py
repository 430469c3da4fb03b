"""`--dicom KEYWORD`: the columns that say where a film came from, also of files without an answer."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit

from cxr.screening.discovery import discover
from cxr.screening.engine import Run
from cxr.screening.paths import Naming, PathStyle
from cxr.screening.run_manifest import read_run_result
from cxr.screening.schema import schema_for
from cxr.screening.verify import rescore, verify_table
from cxr.screening.workers import WorkerPool
from tests.dicoms import save_dicom
from tests.screening.drawings import save
from tests.screening.fakes import FakeGate, FakeModel
from tests.screening.test_workers import forks
from tests.screening.works import run_in, work_on

KEYWORDS = ("StudyInstanceUID", "PatientID", "StudyDate")
LEVELS = np.random.default_rng(0).integers(60, 200, (24, 24), dtype=np.uint8)

# Objects whose header can be read, by the reason that their rows have.
WITHOUT_ANSWER: dict[str, dict[str, Any]] = {
    "other_modality": {"Modality": "CT"},
    "other_body_part": {"BodyPartExamined": "HIP"},
    "multi_frame": {"NumberOfFrames": 40},
    "too_large": {"Rows": 30000, "Columns": 30000},
    "unsupported_pixels rgb": {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3},
    "unsupported_pixels float": {"PixelData": None, "FloatPixelData": bytes(4 * 576)},
    "unsupported_pixels none": {"PixelData": None},
    "unsupported_pixels window": {"WindowCenter": 100, "WindowWidth": -5},
    "not_an_image": {"PixelData": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33"},
    "unreadable": {"Rows": 0},
    "no_decoder": {"PixelData": None, "PixelDataProviderURL": "http://127.0.0.1/film"},
    "truncated": {"Rows": 25},
    "ok": {},
}


def identity(number: int) -> dict[str, str]:
    return {"StudyInstanceUID": f"1.2.3.{number}", "PatientID": f"patient-{number}", "StudyDate": f"202001{number:02}"}


def named(number: int) -> list[str]:
    return list(identity(number).values())


def drawn(number: int, **elements: Any) -> bytes:
    buffer = io.BytesIO()
    save_dicom(buffer, LEVELS, **(identity(number) | elements))
    return buffer.getvalue()


def damaged() -> Iterator[tuple[str, bytes]]:
    """Give objects that are damaged, by their reason."""
    whole = drawn(50, WindowCenter=1234, WindowWidth=5678)
    yield "truncated pixels", whole[:-100]
    yield "unsupported_pixels text", whole.replace(b"1234", b"12,4")
    for name, reason in ((JPEGBaseline8Bit, "unreadable syntax"), (DeflatedExplicitVRLittleEndian, "truncated syntax")):
        dataset = dcmread(io.BytesIO(whole))
        dataset.file_meta.TransferSyntaxUID = name
        buffer = io.BytesIO()
        if name == DeflatedExplicitVRLittleEndian:
            dataset.save_as(buffer)
            yield reason, buffer.getvalue()[:-20]
            continue
        dataset.PixelData = b"\xfe\xff\0\xe0\0\0\0\0\xfe\xff\0\xe0\x08\0\0\0nonsense"
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(buffer)
        yield reason, buffer.getvalue()


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    save(folder, "film.png", (100, 3, 150))
    (folder / "empty.dcm").write_bytes(b"")
    (folder / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 60)
    for number, (reason, elements) in enumerate(WITHOUT_ANSWER.items()):
        (folder / f"{reason}.dcm").write_bytes(drawn(number, **elements))
    for reason, data in damaged():
        (folder / f"{reason}.dcm").write_bytes(data)
    return folder


def asking(work: Run) -> Run:
    return replace(work, schema=schema_for(work.models, KEYWORDS))


def table(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def cells(row: dict[str, str]) -> list[str]:
    return [row[f"dicom_{keyword}"] for keyword in KEYWORDS]


def test_a_row_without_an_answer_says_where_its_film_came_from(scans: Path, tmp_path: Path) -> None:
    rows = table(run_in(tmp_path / "r.csv", asking(work_on(scans)))[0].results)
    for number, reason in enumerate(WITHOUT_ANSWER):
        row = rows[f"{reason}.dcm"]
        assert row["reason"] == ("" if reason == "ok" else reason.split()[0])
        assert cells(row) == named(number), reason
    for reason, _ in damaged():
        assert rows[f"{reason}.dcm"]["reason"] == reason.split()[0], rows[f"{reason}.dcm"]["detail"]
        assert cells(rows[f"{reason}.dcm"]) == named(50), reason
    for name in ("film.png", "empty.dcm", "broken.dcm"):
        assert cells(rows[name]) == ["", "", ""]


def test_what_the_gate_rejects_says_it_as_ever(scans: Path, tmp_path: Path) -> None:
    (scans / "flat.dcm").write_bytes(drawn(60, PixelData=bytes(576)))
    rows = table(run_in(tmp_path / "r.csv", asking(work_on(scans, [FakeModel(gate=FakeGate())])))[0].results)
    assert (rows["flat.dcm"]["reason"], cells(rows["flat.dcm"])) == ("blank", named(60))


def test_a_table_with_them_holds_and_its_rows_are_screened_to_the_same_cells(scans: Path, tmp_path: Path) -> None:
    files, _, _ = run_in(tmp_path / "r.csv", asking(work_on(scans)))
    found = read_run_result(files.results)
    assert all(check.holds for check in verify_table(found))
    check = rescore(found, [FakeModel()], None, b"", 60, 0)
    assert check.holds, check.findings
    before = files.results.read_bytes()
    again, _, notes = run_in(tmp_path / "r.csv", asking(work_on(scans)))
    assert notes.kept > 0
    assert again.results.read_bytes() == before


@forks
def test_helping_processes_give_the_same_cells(scans: Path, tmp_path: Path) -> None:
    work = asking(work_on(scans, batch=4))
    alone = run_in(tmp_path / "1.csv", work)[0].results.read_bytes()
    pool = WorkerPool(2, work.selection.candidates, lambda: [FakeModel()])  # type: ignore[list-item, return-value]
    assert run_in(tmp_path / "2.csv", work, pool=pool)[0].results.read_bytes() == alone


def test_hashed_names_name_no_file_beside_them(scans: Path, tmp_path: Path) -> None:
    naming = Naming(scans, PathStyle.HASHED, b"k" * 16)
    work = asking(work_on(scans))
    request = replace(work.request, naming=naming)
    found = discover(request.query, naming)
    selection = replace(work.selection, candidates=found.candidates)
    files, _, _ = run_in(tmp_path / "r.csv", replace(work, request=request, found=found, selection=selection))
    rows = table(files.results)
    assert not [name for name in rows if "." in name]
    assert sorted(cells(row) for row in rows.values() if row["reason"] == "other_modality") == [named(0)]
