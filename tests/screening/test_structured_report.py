"""DICOM reports: what they say, of whom, and which films have none."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from cxr.core.errors import UsageError
from cxr.screening.structured_report import NO_ANSWER, NO_DICOM, Reported, check_highdicom, write_reports
from tests.dicoms import save_dicom
from tests.screening.drawings import save
from tests.screening.fakes import FakeGate, deciding_model
from tests.screening.works import run_in, work_on

pytest.importorskip("highdicom", reason="the extra 'sr' is not installed")
RAMP = np.linspace(0, 255, 48 * 48).astype(np.uint8).reshape(48, 48)
PATIENT = {
    "PatientName": "Müller^Jörg",
    "PatientID": "P1",
    "StudyDate": "20240301",
    "SpecificCharacterSet": "ISO_IR 100",
    "Modality": "DX",
    "BodyPartExamined": "CHEST",
}


def film(path: Path, number: int, turn: int = 0, **elements: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    uids = {"SOPInstanceUID": f"1.2.3.{number}", "StudyInstanceUID": "1.2.4", "SeriesInstanceUID": "1.2.5"}
    save_dicom(path, np.rot90(RAMP, turn), **(PATIENT | uids | elements))


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    film(folder / "1.dcm", 1)
    film(folder / "2", 2, turn=1)
    save(folder, "p.png", (255, 0, 0))
    (folder / "empty.png").touch()
    return folder


def reports(scans: Path, tmp_path: Path) -> tuple[Reported, Path]:
    work = work_on(scans, [deciding_model()])
    files, *_ = run_in(tmp_path / "r.csv", work)
    return write_reports(tmp_path / "sr", work, files), tmp_path / "sr"


def test_an_object_says_what_the_row_says_and_of_whom_the_film_says(scans: Path, tmp_path: Path) -> None:
    found, folder = reports(scans, tmp_path)
    assert found == Reported(2, 0, {NO_DICOM: 1, NO_ANSWER: 1})  # type: ignore[arg-type]
    first, _ = map(dcmread, sorted(folder.iterdir()))
    assert (first.PatientName, first.PatientID, first.StudyInstanceUID) == ("Müller^Jörg", "P1", "1.2.4")
    assert (first.VerificationFlag, first.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert first.SeriesDescription.startswith("RESEARCH, UNVERIFIED")
    assert first.SOPClassUID.name == "Enhanced SR Storage"
    evidence = first.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert evidence.ReferencedSOPInstanceUID == "1.2.3.1"
    text = first.to_json()
    assert "probability covid" in text
    assert deciding_model().network_sha256 in text
    assert "covid_sens95" in text
    assert "For research; not a medical device." in text


def test_nobody_is_invented(scans: Path, tmp_path: Path) -> None:
    film(scans / "3.dcm", 3, PatientName=None, PatientID=None, StudyDate=None)
    film(scans / "no-uid.dcm", 4, SOPInstanceUID=None)
    film(scans / "no-study.dcm", 5, StudyInstanceUID=None)
    film(scans / "odd.dcm", 6, SOPInstanceUID="../../etc")
    film(scans / "other.dcm", 1, turn=2)
    found, folder = reports(scans, tmp_path)
    assert found.written == 3
    assert found.without["its header has no SOP Instance UID"] == 1
    assert found.without["its header has no Study Instance UID"] == 1
    assert found.without["the SOP Instance UID in its header is malformed"] == 1
    assert found.without["another file has the same SOP Instance UID"] == 1
    (anonymous,) = map(dcmread, folder.glob("SR.1.2.3.3.*"))
    assert (str(anonymous.PatientName), anonymous.PatientID, anonymous.StudyDate) == ("", "", "")


@pytest.mark.parametrize(
    ("elements", "sentence"),
    [
        ({"SOPInstanceUID": "1.2.3.bad uid"}, "the SOP Instance UID in its header is malformed"),
        ({"SOPInstanceUID": ["1.2.3", "1.2.4"]}, "the SOP Instance UID in its header is malformed"),
        ({"StudyInstanceUID": "1.02.3"}, "the Study Instance UID in its header is malformed"),
        ({"SeriesInstanceUID": ""}, "its header has no Series Instance UID"),
    ],
)
def test_an_invalid_uid_is_told_from_an_absent_one(elements: dict[str, object], sentence: str, tmp_path: Path) -> None:
    for number in (1, 2):
        film(tmp_path / "scans" / f"{number}.dcm", number, number, **elements)
    found, folder = reports(tmp_path / "scans", tmp_path)
    assert found == Reported(0, 0, {sentence: 2})  # type: ignore[arg-type]
    assert not list(folder.iterdir())


def test_the_same_call_goes_on_and_uids_follow_from_film_and_network(scans: Path, tmp_path: Path) -> None:
    _, folder = reports(scans, tmp_path)
    before = {path.name: dcmread(path).SOPInstanceUID for path in folder.iterdir()}
    next(folder.iterdir()).unlink()
    again, _ = reports(scans, tmp_path)
    assert (again.written, again.there) == (1, 1)
    assert {path.name: dcmread(path).SOPInstanceUID for path in folder.iterdir()} == before

    work = work_on(scans, [deciding_model("covid_spec95")])
    files, *_ = run_in(tmp_path / "other.csv", work)
    write_reports(folder, work, files)
    assert len({dcmread(path).SOPInstanceUID for path in folder.iterdir()}) == 4


def test_a_gate_and_several_networks_are_named(scans: Path, tmp_path: Path) -> None:
    from tests.screening.fakes import FakeModel

    gate = FakeGate(judge=lambda planes: np.zeros((len(planes), 6)))
    other = FakeModel(identity="other-1", network_sha256="67" * 32)
    other.description["name"] = "other"
    first = deciding_model()
    first.gate = gate
    work = work_on(scans, [first, other])
    files, *_ = run_in(tmp_path / "r.csv", work)
    assert write_reports(tmp_path / "sr", work, files).written == 2
    text = dcmread(next((tmp_path / "sr").iterdir())).to_json()
    assert gate.sha256 in text
    assert "67" * 32 in text


def test_each_flag_has_a_code_of_its_own(scans: Path, tmp_path: Path) -> None:
    uids = {"SOPInstanceUID": "1.2.3.3", "StudyInstanceUID": "1.2.4", "SeriesInstanceUID": "1.2.5"}
    save_dicom(scans / "side.dcm", RAMP[:20], **PATIENT, **uids, ViewPosition="LL")
    _, folder = reports(scans, tmp_path)
    (side,) = map(dcmread, folder.glob("SR.1.2.3.3.*"))
    codes = {element.value for element in side.iterall() if element.keyword in ("CodeValue", "LongCodeValue")}
    assert {"elongated", "lateral"} <= codes
    assert not [code for code in codes if " " in code]


@pytest.mark.skipif(not shutil.which("dsrdump"), reason="dcmtk is not on this machine: apt install dcmtk")
def test_dcmtk_reads_every_object(scans: Path, tmp_path: Path) -> None:
    _, folder = reports(scans, tmp_path)
    for path in folder.iterdir():
        done = subprocess.run(["dsrdump", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0
        assert not [line for line in done.stderr.splitlines() if not line.startswith("W: The VR checker")]
        assert "Verification Flag   : UNVERIFIED" in done.stdout
        assert '"probability covid")=' in done.stdout


def test_without_highdicom_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "highdicom.sr", None)
    with pytest.raises(UsageError, match="extra 'sr'"):
        check_highdicom()
