"""Runs over folders with DICOM of other modalities and parts of the body beside films of the chest."""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxr.core.errors import DataError, ResumeError
from cxr.imaging.headers import HEADER_REASONS
from cxr.inference.model_folder import load_model
from cxr.screening.discovery import Shard
from cxr.screening.engine import Run
from cxr.screening.journal import begin_parts, fingerprint_of
from cxr.screening.merge import merge
from cxr.screening.ray_engine import Worker, packed, worker_payload
from cxr.screening.run_manifest import read_run_result
from cxr.screening.schema import broken_rules, schema_for
from cxr.screening.tables import Format, OutputFiles
from cxr.screening.verify import rescore, verify_table
from cxr.screening.workers import WorkerPool
from tests.cli.batches import run
from tests.dicoms import save_dicom
from tests.screening.drawings import save
from tests.screening.fakes import FakeGate, FakeModel
from tests.screening.loaded import model
from tests.screening.test_workers import forks
from tests.screening.works import run_in, work_on
from tests.shipped import ungated

__all__ = ["model"]

MODALITIES = ("CT", "MR", "MG", "US", "XA", "RF", "PX", "IO", "PT", "NM", "OT", "SEG", "RTDOSE", "XC")
PARTS = ("HAND", "HIP", "KNEE", "ABDOMEN", "SKULL", "CSPINE", "TSPINE", "LSPINE", "PELVIS", "FOOT", "ELBOW", "SHOULDER")
WORDS = (
    "Becken a.p.",
    "RX GENOU",
    "Mano izquierda",
    "RX anca dx",
    "Coluna torácica",
    "X-knie",
    "XR HIP LEFT",
    "Fuß re.",
)
FRAMES = ("2.1", "4.1", "13.1.3", "3.1", "12.1.1", "20")
OTHERS = len(MODALITIES) + len(PARTS) + len(WORDS) + len(FRAMES)
CHESTS = ("CHEST", "THORAX", "", None, "CHEST PA", "RIBS", "TORAX")


def levels(number: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    random = np.random.default_rng(number)
    return random.integers(60, 200, (24, 24), dtype=np.uint8)


@pytest.fixture
def chests(tmp_path: Path) -> Path:
    """Give seven films of the chest as makers name them, and five pictures of another format."""
    folder = tmp_path / "chests"
    for number in range(5):
        save(folder, f"{number:02}.png", (100 + number, 3 * number, 150))
    for number, said in enumerate(CHESTS):
        save_dicom(folder / f"chest-{number:02}.dcm", levels(number), Modality="DX", BodyPartExamined=said)
    return folder


@pytest.fixture
def scans(chests: Path, tmp_path: Path) -> Path:
    """Give the same with objects of other modalities and parts, some of which nothing could decode."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for path in chests.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    for number, modality in enumerate(MODALITIES):
        save_dicom(folder / f"a-{number:02}.dcm", levels(number), Modality=modality)
    for number, said in enumerate(PARTS):
        save_dicom(folder / f"b-{number:02}", levels(number), Modality="CR", BodyPartExamined=said)
    for number, said in enumerate(WORDS):
        text = {"SpecificCharacterSet": "ISO_IR 192", "StudyDescription": said}
        save_dicom(folder / f"d-{number:02}.dcm", levels(number), Modality="DR", **text)
    for number, last in enumerate(FRAMES):
        kind = f"1.2.840.10008.5.1.4.1.1.{last}"
        save_dicom(folder / f"e-{number:02}.dcm", levels(number), SOPClassUID=kind, NumberOfFrames=40)
    return folder


def lines(output: Path) -> list[str]:
    return output.read_text(encoding="utf-8").splitlines(keepends=True)


def rejected(output: Path) -> dict[str, str]:
    with output.open(encoding="utf-8", newline="") as file:
        return {row["path"]: row["reason"] for row in csv.DictReader(file) if row["status"] == "rejected"}


def asking_nothing(work: Run) -> Run:
    return replace(work, schema=schema_for(work.models, any_dicom=True))


def test_others_never_reach_a_network_and_change_no_other_row(scans: Path, chests: Path, tmp_path: Path) -> None:
    model = FakeModel(gate=FakeGate())
    files, tally, _ = run_in(tmp_path / "r.csv", work_on(scans, [model], batch=8))
    assert sum(model.network.batches) == sum(model.gate.batches) == len(CHESTS) + 5  # type: ignore[union-attr]
    found = rejected(files.results)
    assert Counter(found.values()) == {
        "other_modality": len(MODALITIES) + len(FRAMES),
        "other_body_part": len(PARTS) + len(WORDS),
    }
    assert tally.reasons.total() == OTHERS == 40
    alone, _, _ = run_in(tmp_path / "alone.csv", work_on(chests, [FakeModel(gate=FakeGate())], batch=8))
    kept = [line for line in lines(files.results) if line.split(",")[0] not in found]
    assert kept == lines(alone.results)


def test_what_a_header_rejected_is_not_read_again(scans: Path, tmp_path: Path) -> None:
    first, _, _ = run_in(tmp_path / "r.csv", work_on(scans))
    before = first.results.read_bytes()
    again, _, notes = run_in(tmp_path / "r.csv", work_on(scans))
    assert (notes.kept, notes.retried, notes.screened_names) == (OTHERS + len(CHESTS) + 5, 0, [])
    assert again.results.read_bytes() == before


def test_a_replaced_file_is_read_again(scans: Path, tmp_path: Path) -> None:
    run_in(tmp_path / "r.csv", work_on(scans))
    save_dicom(scans / "a-00.dcm", levels(0), Modality="DX", StudyDescription="chest")
    files, _, notes = run_in(tmp_path / "r.csv", work_on(scans))
    assert notes.screened_names == ["a-00.dcm"]
    assert "a-00.dcm" not in rejected(files.results)


def test_with_any_dicom_the_header_decides_nothing(scans: Path, tmp_path: Path) -> None:
    files, tally, _ = run_in(tmp_path / "r.csv", asking_nothing(work_on(scans)))
    assert set(rejected(files.results).values()) == {"multi_frame"}
    assert tally.ok == len(CHESTS) + 5 + OTHERS - len(FRAMES)
    assert json.loads(files.manifest.read_text())["fingerprint"]["any_dicom"] is True
    table = read_run_result(files.results)
    assert all(check.holds for check in verify_table(table))
    assert rescore(table, [FakeModel()], None, b"", 60, 0).holds


def test_rows_with_and_without_any_dicom_never_stand_in_one_table(scans: Path, tmp_path: Path) -> None:
    run_in(tmp_path / "r.csv", work_on(scans))
    with pytest.raises(ResumeError, match=r"--any-dicom \(then without it, now with\)\. Rows of"):
        run_in(tmp_path / "r.csv", asking_nothing(work_on(scans)))
    one, _, _ = run_in(tmp_path / "one.csv", work_on(scans, shard=Shard(1, 2)))
    two, _, _ = run_in(tmp_path / "two.csv", asking_nothing(work_on(scans, shard=Shard(2, 2))))
    shards = [read_run_result(files.results) for files in (one, two)]
    with pytest.raises(DataError, match="were made with different any_dicom"):
        merge(shards, OutputFiles(tmp_path / "joined.csv"), Format.CSV)


@forks
def test_helping_processes_go_by_the_same_rule(scans: Path, tmp_path: Path) -> None:
    for name, work in (("asked", work_on(scans, batch=4)), ("not", asking_nothing(work_on(scans, batch=4)))):
        alone, _, _ = run_in(tmp_path / f"{name}.csv", work)
        pool = WorkerPool(2, work.selection.candidates, lambda: [FakeModel()])  # type: ignore[list-item, return-value]
        helped, _, _ = run_in(tmp_path / f"{name}-2.csv", work, pool=pool)
        assert helped.results.read_bytes() == alone.results.read_bytes()


def test_a_worker_of_ray_goes_by_the_same_rule(scans: Path, tmp_path: Path) -> None:
    network = load_model(ungated(tmp_path / "model"))
    for name, work in (("asked", work_on(scans, [network])), ("not", asking_nothing(work_on(scans, [network])))):
        prints = fingerprint_of(work.models, work.request.naming, (), any_dicom=work.schema.any_dicom)
        parts = tmp_path / f"{name}.csv.parts"
        begin_parts(parts, prints)
        Worker(worker_payload(work, parts, prints))({"part": 0, "candidates": packed(work.selection.candidates)})
        (part,) = parts.glob("*.part")
        assert ("other_modality" in part.read_text()) == (name == "asked")


@pytest.fixture
def table(scans: Path, tmp_path: Path) -> Path:
    return run_in(tmp_path / "r.csv", work_on(scans))[0].results


def test_a_table_with_rejected_headers_holds(table: Path) -> None:
    found = read_run_result(table)
    assert all(check.holds for check in verify_table(found))
    assert rescore(found, [FakeModel()], None, b"", 60, 0).holds


def clauses(table: Path, **changed: str) -> Iterator[str]:
    found = read_run_result(table)
    row = next(row for row in found.rows() if row["reason"] in HEADER_REASONS)
    return broken_rules(row | changed, found.schema)


def test_a_row_that_no_header_gives_breaks_a_rule(table: Path) -> None:
    assert list(clauses(table)) == []
    assert list(clauses(table, format="PNG")) == [
        "reason is 'other_modality', which only a DICOM header gives, but format is 'PNG'"
    ]
    decoded = list(clauses(table, brightness="0.500000"))
    assert "reason is 'other_modality', but width or brightness is not empty" in decoded
    assert list(clauses(table, status="error")) == ["status is 'error', but reason 'other_modality' gives 'rejected'"]


def test_a_manifest_that_says_any_dicom_belongs_to_no_such_rows(table: Path) -> None:
    path = OutputFiles(table).manifest
    facts = json.loads(path.read_text())
    facts["fingerprint"]["any_dicom"] = True
    path.write_text(json.dumps(facts))
    (rows,) = [check for check in verify_table(read_run_result(table)) if not check.holds]
    assert rows.findings[0].endswith("reason is 'other_modality', but --any-dicom was given")


@pytest.mark.usefixtures("model")
def test_the_command_says_how_many_and_what_to_do(scans: Path, tmp_path: Path) -> None:
    output = tmp_path / "r.csv"
    result = run(scans, "-o", output, "--workers", 1)
    said = " ".join(result.output.split())
    assert result.exit_code == 3
    assert "headers rejected 40 DICOM files: 20 other_modality, 20 other_body_part; --any-dicom screens them" in said
    refused = run(scans, "-o", output, "--workers", 1, "--any-dicom")
    assert refused.exit_code == 1
    assert "another setting of --any-dicom (then without it, now with)" in " ".join(refused.output.split())
    result = run(scans, "-o", output, "--workers", 1, "--any-dicom", "--overwrite")
    assert "headers --any-dicom: of DICOM, every modality and part of the body is answered" in " ".join(
        result.output.split()
    )
    assert len(rejected(output)) == len(FRAMES)
