"""The synthetic release: its layout, its planted traps, and equal bytes for equal arguments."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from PIL import Image

from cxr.dataset.phantom_findings import Finding
from cxr.dataset.release import MASK_FOLDER, read_release
from cxr.dataset.sample import SYNTHETIC_NOTE, file_of, write_sample
from cxr.dataset.sample_plan import Copy, plan_sample
from cxr.errors import DataError
from cxr.images import SYNTHETIC_KEY, decode

SMALL = {"per_class": 5, "per_opacity": 1}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "raw"
    write_sample(folder, **SMALL)
    return folder


def _bytes_below(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _grey(root: Path, finding: Finding, number: int) -> np.ndarray:
    return decode(root / file_of(finding, number), 224)[0].astype(int)


def test_a_sample_is_read_as_a_release_with_the_asked_counts(root):
    release = read_release(root)
    counts = {label: len(files) for label, files in release.images.items()}
    assert counts == {"covid": 5, "lung_opacity": 1, "normal": 5, "viral_pneumonia": 5}
    assert (release.masks, release.others) == (16, [])


def test_every_image_and_mask_says_that_it_is_synthetic_and_has_the_releases_size(root):
    for path in root.rglob("*.png"):
        with Image.open(path) as image:
            assert image.info[SYNTHETIC_KEY] == SYNTHETIC_NOTE
            assert image.size == ((256, 256) if path.parent.name == MASK_FOLDER else (299, 299))


def test_writing_twice_gives_equal_bytes_in_every_file(root, tmp_path):
    write_sample(tmp_path / "again", **SMALL)
    assert _bytes_below(tmp_path / "again") == _bytes_below(root)


def test_another_seed_gives_other_images(root, tmp_path):
    write_sample(tmp_path / "other", seed=8, per_class=1, per_opacity=1)
    ours = set(_bytes_below(root).values())
    assert not any(digest in ours for name, digest in _bytes_below(tmp_path / "other").items() if "/images/" in name)


def test_patients_csv_names_every_image_once(root):
    with (root / "patients.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    images = {path.relative_to(root).as_posix() for path in root.glob("*/images/*.png")}
    assert list(rows[0]) == ["file", "patient_id"]
    assert sorted(row["file"] for row in rows) == sorted(images)


def test_metadata_sheets_name_every_image_and_write_normal_in_capitals(root):
    for finding in Finding:
        sheet = openpyxl.load_workbook(root / f"{finding.value}.metadata.xlsx")["Sheet1"]
        head, *rows = sheet.iter_rows(values_only=True)
        assert head == ("FILE NAME", "FORMAT", "SIZE", "URL")
        stems = {path.stem for path in (root / finding.value / "images").iterdir()}
        expected = {stem.upper() for stem in stems} if finding is Finding.NONE else stems
        assert {row[0] for row in rows} == expected
        assert all(row[3].startswith("https://example.org/synthetic/") for row in rows)


def test_exact_duplicates_have_equal_bytes_and_near_ones_nearly_equal_pixels(root):
    copies = [file for file in plan_sample(7, 5, 1) if file.copy is not None]
    assert {file.copy for file in copies} == {Copy.SAME_BYTES, Copy.BRIGHTER}
    for file in copies:
        copy, original = (root / file_of(file.finding, number) for number in (file.number, file.original))
        if file.copy is Copy.SAME_BYTES:
            assert copy.read_bytes() == original.read_bytes()
            continue
        ours, theirs = (_grey(root, file.finding, number) for number in (file.number, file.original))
        assert 0 < np.abs(ours - theirs).mean() < 13
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99


def test_an_empty_folder_is_filled_and_nothing_is_left_beside_it(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    write_sample(folder, per_class=1, per_opacity=1)
    assert len(list(folder.glob("*/images/*.png"))) == 4
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(DataError, match="there already"):
        write_sample(tmp_path, per_class=1, per_opacity=1)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"per_class": 0}, {"per_opacity": 0}])
def test_numbers_out_of_range_are_refused_by_name(tmp_path, wrong):
    with pytest.raises(DataError, match=next(iter(wrong))):
        write_sample(tmp_path / "raw", **wrong)
