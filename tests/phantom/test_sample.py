"""The synthetic release: its layout, its planted traps, and equal bytes for equal arguments."""

import csv
import hashlib
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from PIL import Image

from cxr.core.errors import DataError
from cxr.core.image import SYNTHETIC_KEY
from cxr.dataset.release import MASK_FOLDER, read_release
from cxr.imaging.decode import decode
from cxr.phantom.anatomy import Finding
from cxr.phantom.film import Phantom
from cxr.phantom.sample import SYNTHETIC_NOTE, Copy, duplicates_of, file_of, plan_sample, write_sample

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


def _stub(_: Finding, patient: list[int], film: int) -> Phantom:
    """A smooth picture that differs per file, in place of a phantom that takes its time."""
    noise = np.random.default_rng([*patient, film]).uniform(40, 220, (5, 5)).astype(np.float32)
    picture = Image.fromarray(noise).resize((64, 64), Image.Resampling.BICUBIC)
    return Phantom(np.asarray(picture).clip(0, 255).astype(np.uint8), np.zeros((8, 8), np.uint8))


def _planned_grey(path: Path) -> np.ndarray:
    return decode(path, 224)[0].astype(int)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "full"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cxr.phantom.sample.draw_phantom", _stub)
        write_sample(folder)
    return folder


def test_a_full_plan_has_the_documented_counts():
    plan = plan_sample(7, 60, 20)
    for finding in Finding:
        files = [file for file in plan if file.finding is finding]
        drawn = [file for file in files if file.copy is None]
        count = 20 if finding is Finding.CONSOLIDATION else 60
        assert sorted(file.number for file in files) == list(range(1, count + 1))
        assert len(files) - len(drawn) == sum(duplicates_of(count))
        assert sum(file.rgb for file in drawn) == (5 if finding is Finding.INTERSTITIAL else 1)
        assert len({file.patient for file in files}) == (14 if finding is Finding.CONSOLIDATION else 44)


def test_a_duplicate_has_another_patient_and_a_drawn_original_that_is_copied_once():
    plan = plan_sample(7, 60, 20)
    by_number = {(file.finding, file.number): file for file in plan}
    copies = [file for file in plan if file.copy is not None]
    originals = [by_number[file.finding, file.original] for file in copies]
    assert all(original.copy is None for original in originals)
    assert len({(original.finding, original.number) for original in originals}) == len(copies)
    assert all(original.patient != file.patient for original, file in zip(originals, copies, strict=True))


def test_no_patient_stands_in_two_classes():
    classes: dict[int, set[Finding]] = {}
    for file in plan_sample(7, 60, 20):
        classes.setdefault(file.patient, set()).add(file.finding)
    assert all(len(found) == 1 for found in classes.values())


def test_classes_of_fewer_than_four_files_have_no_duplicates():
    assert [duplicates_of(count) for count in (1, 3, 4, 20, 60)] == [(0, 0), (0, 0), (1, 1), (1, 1), (2, 3)]


def test_a_full_plan_has_every_kind_of_duplicate():
    kinds = Counter(file.copy for file in plan_sample(7, 60, 20) if file.copy is not None)
    assert kinds == {
        Copy.SAME_BYTES: 4,
        Copy.SAME_PIXELS: 3,
        Copy.BRIGHTER: 4,
        Copy.RECOMPRESSED: 3,
        Copy.SHIFTED: 3,
    }


def test_planted_duplicates_differ_from_their_originals_as_planned(full):
    for file in (file for file in plan_sample(7, 60, 20) if file.copy is not None):
        copy, original = (full / file_of(file.finding, number) for number in (file.number, file.original))
        ours, theirs = (_planned_grey(path) for path in (copy, original))
        assert (copy.read_bytes() == original.read_bytes()) == (file.copy is Copy.SAME_BYTES)
        if file.copy in (Copy.SAME_BYTES, Copy.SAME_PIXELS):
            assert np.array_equal(ours, theirs)
        elif file.copy is Copy.SHIFTED:
            assert np.array_equal(ours[1:], theirs[:-1])
        elif file.copy is Copy.BRIGHTER:
            assert np.abs(ours - (theirs * 1.05).clip(0, 255)).max() <= 0.5
        else:
            assert 0 < np.abs(ours - theirs).mean() < 3


def test_no_two_files_have_equal_pixels_but_for_the_planted_ones(full):
    assert len({_planned_grey(path).tobytes() for path in full.glob("*/images/*.png")}) == 200 - 7


def test_24_bit_files_are_as_many_as_documented(full):
    modes: Counter[str] = Counter()
    for path in full.glob("*/images/*.png"):
        with Image.open(path) as image:
            modes[path.parts[-3]] += image.mode == "RGB"
    assert modes == {"COVID": 2, "Normal": 2, "Viral Pneumonia": 6, "Lung_Opacity": 1}


def test_a_source_has_several_classes_and_a_patient_has_one_source(full):
    patient_of = {(file.finding, file.number): file.patient for file in plan_sample(7, 60, 20)}
    classes, sources = defaultdict(set), defaultdict(set)
    for finding in Finding:
        sheet = openpyxl.load_workbook(full / f"{finding.value}.metadata.xlsx")["Sheet1"]
        for name, _, _, url in sheet.iter_rows(min_row=2, values_only=True):
            classes[url].add(finding)
            sources[patient_of[finding, int(name.split("-")[-1])]].add(url)
    assert all(len(found) > 1 for found in classes.values())
    assert all(len(urls) == 1 for urls in sources.values())
