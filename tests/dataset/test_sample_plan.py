"""The plan of a synthetic release, and a full release written to it with stubs in place of phantoms."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from PIL import Image

from cxr.dataset.phantom import Phantom
from cxr.dataset.phantom_findings import Finding
from cxr.dataset.sample import file_of, write_sample
from cxr.dataset.sample_plan import Copy, duplicates_of, plan_sample
from cxr.images import decode


def _stub(_: Finding, patient: list[int], film: int) -> Phantom:
    """A smooth picture that differs per file, in place of a phantom that takes its time."""
    noise = np.random.default_rng([*patient, film]).uniform(40, 220, (5, 5)).astype(np.float32)
    picture = Image.fromarray(noise).resize((64, 64), Image.Resampling.BICUBIC)
    return Phantom(np.asarray(picture).clip(0, 255).astype(np.uint8), np.zeros((8, 8), np.uint8))


def _grey(path: Path) -> np.ndarray:
    return decode(path, 224)[0].astype(int)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "full"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cxr.dataset.sample.draw_phantom", _stub)
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
        ours, theirs = (_grey(path) for path in (copy, original))
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
    assert len({_grey(path).tobytes() for path in full.glob("*/images/*.png")}) == 200 - 7


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
