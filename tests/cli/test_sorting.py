"""`--copy-to`, `--link-to`, `--dicom-sr` from the command line: what is said, what is refused, on any engine."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.batches import run
from tests.dicoms import save_dicom
from tests.screening.drawings import save
from tests.screening.test_sorting import content

pytest.importorskip("highdicom", reason="the extra 'sr' is not installed")
pytestmark = pytest.mark.usefixtures("model")


@pytest.fixture
def mixed(scans: Path) -> Path:
    """Pictures of two names in three folders, a DICOM film, a file without bytes."""
    save(scans, "b/left.png", (240, 0, 0))
    grey = np.arange(48 * 48, dtype=np.uint16).reshape(48, 48)
    uids = {"SOPInstanceUID": "1.2.3.4", "StudyInstanceUID": "1.2.4", "SeriesInstanceUID": "1.2.5"}
    save_dicom(scans / "IM0001", grey, Modality="DX", BodyPartExamined="CHEST", PatientID="P1", **uids)
    (scans / "empty.png").touch()
    return scans


def asked(tmp_path: Path) -> list[object]:
    return ["--copy-to", tmp_path / "sorted", "--dicom-sr", tmp_path / "sr"]


def test_it_says_what_lies_where_and_what_has_no_report(mixed: Path, tmp_path: Path) -> None:
    result = run(mixed, "-o", tmp_path / "r.csv", *asked(tmp_path))
    assert result.exit_code == 3
    for words in (
        "sorted   6 files: covid ",
        "error 1",
        "see " + str(tmp_path / "sorted" / "sorted.csv"),
        "reports  1 DICOM report",
        "reports  none for 1 file: it has no answer",
        "reports  none for each of 4 files: no DICOM: only a DICOM film says of whom it is",
    ):
        assert words in result.stderr.replace("\n", "")
    again = run(mixed, "-o", tmp_path / "r.csv", *asked(tmp_path))
    assert "6 files, 6 of them from before: " in again.stderr
    assert "reports  1 DICOM report, 1 of them from before" in again.stderr


def test_programs_are_told_the_same(mixed: Path, tmp_path: Path) -> None:
    result = run(mixed, "-o", tmp_path / "r.csv", "--log-json", *asked(tmp_path))
    events = {event["event"]: event for event in map(json.loads, result.stderr.splitlines())}
    assert sum(events["sorted"]["files"].values()) == 6
    assert (events["reported"]["written"], sum(events["reported"]["without"].values())) == (1, 5)
    assert events["finished"]["copies"] == 0


@pytest.mark.parametrize("more", [["--processes", 2], ["--processes", 1, "--csv-dialect", "plain"]])
def test_the_folder_is_the_same_whoever_screens(more: list[object], mixed: Path, tmp_path: Path) -> None:
    run(mixed, "-o", tmp_path / "1.csv", "--copy-to", tmp_path / "one")
    run(mixed, "-o", tmp_path / "2.csv", "--copy-to", tmp_path / "two", *more)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_files_of_an_address_are_fetched(mixed: Path, tmp_path: Path) -> None:
    run(mixed, "-o", tmp_path / "1.csv", "--copy-to", tmp_path / "one")
    import zipfile

    with zipfile.ZipFile(tmp_path / "scans.zip", "w") as archive:
        for path in sorted(mixed.rglob("*")):
            archive.write(path, path.relative_to(mixed))
    place = f"zip://::{tmp_path / 'scans.zip'}"
    result = run(place, "-o", tmp_path / "2.csv", "--copy-to", tmp_path / "two")
    assert result.exit_code == 3, result.stderr
    files = {path: bytes_ for path, bytes_ in content(tmp_path / "two").items() if path != "sorted.csv"}
    assert sorted(files.values()) == sorted(
        bytes_ for path, bytes_ in content(tmp_path / "one").items() if path != "sorted.csv"
    )
    refused = run(place, "-o", tmp_path / "3.csv", "--link-to", tmp_path / "three")
    assert refused.exit_code == 2
    assert "--link-to is for local files; --copy-to fetches those of an address" in refused.stderr


@pytest.mark.parametrize("option", ["--copy-to", "--link-to", "--dicom-sr"])
def test_a_folder_that_cannot_be_meant_is_refused(option: str, mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"k" * 16)
    (tmp_path / "file").write_text("")
    for arguments, sentence in (
        (["-o", tmp_path / "r.csv", option, mixed / "sorted"], "where the next run would screen its pictures"),
        (["-o", tmp_path / "r.csv", option, tmp_path / "file"], "is not a folder; give the name of a folder"),
        (["-o", "-", option, tmp_path / "x"], f"{option} needs a results file; give one with -o"),
        (
            ["-o", tmp_path / "r.csv", "--paths", "hashed", "--key", tmp_path / "key", option, tmp_path / "x"],
            f"{option} names files and patients, which --paths hashed hides",
        ),
    ):
        result = run(mixed, *arguments)
        assert result.exit_code == 2
        assert sentence in result.stderr.replace("\n", "")
        assert not (tmp_path / "r.csv").exists()


def test_both_ways_to_sort_at_once_are_refused(mixed: Path, tmp_path: Path) -> None:
    result = run(mixed, "-o", tmp_path / "r.csv", "--copy-to", tmp_path / "a", "--link-to", tmp_path / "b")
    assert result.exit_code == 2
    assert "--copy-to and --link-to exclude each other" in result.stderr
