import io

import imagehash
import numpy as np
import pytest
from PIL import Image

from cxr.core.image import to_plane
from cxr.dataset.duplicates import (
    compare_pictures,
    exact_duplicate_pairs,
    exact_duplicates,
    group_numbers,
    label_conflicts,
    near_duplicates,
    perceptual_hashes,
)
from cxr.phantom.anatomy import Finding
from cxr.phantom.film import draw_phantom
from tests.dataset.audits.tables import films as cheap_films
from tests.tables import manifest

SIDE = 128


@pytest.fixture(scope="module")
def films():
    """Give twenty unrelated films, uint8 (20, 299, 299)."""
    return [draw_phantom(Finding.NONE, [1, patient], 0).luminance for patient in range(20)]


def planes(films):
    return np.stack([to_plane(film, SIDE) for film in films])


def compared(stack, max_distance=51, min_correlation=0.97):
    return compare_pictures(stack, perceptual_hashes(stack), max_distance, min_correlation)


def recompressed(film):
    buffer = io.BytesIO()
    Image.fromarray(film).save(buffer, "JPEG", quality=75)
    return np.asarray(Image.open(buffer))


COPIES = {
    "jpeg 75": recompressed,
    "ten percent brighter": lambda film: np.clip(film * 1.1, 0, 255).astype(np.uint8),
    "256 pixels": lambda film: to_plane(film, 256),
    "ten percent darker": lambda film: (film * 0.9).astype(np.uint8),
    "shifted by two pixels": lambda film: np.roll(film, (2, 2), axis=(0, 1)),
    "mirrored": lambda film: np.ascontiguousarray(film[:, ::-1]),
}


def cropped(film):
    """Return the film without 1 % of its side at each edge."""
    return np.ascontiguousarray(film[3:-3, 3:-3])


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES.keys())
def test_an_edited_copy_is_found_and_nothing_else(films, copy):
    pairs = compared(planes([*films, copy(films[3])])).pairs
    assert pairs.tolist() == [[3, 20]]


def test_unrelated_films_are_no_duplicates(films):
    assert compared(planes(films)).pairs.shape == (0, 2)


def test_flat_images_have_no_picture_to_compare():
    flat = np.zeros((3, SIDE, SIDE), np.uint8) + np.array([0, 100, 200], np.uint8)[:, None, None]
    assert len(compared(flat, max_distance=256, min_correlation=0.5).pairs) == 0


def test_blocks_do_not_change_the_pairs(films, monkeypatch):
    stack = planes([*films, films[3], films[18]])
    whole = compared(stack).pairs
    monkeypatch.setattr("cxr.dataset.duplicates.BLOCK", 7)
    monkeypatch.setattr("cxr.dataset.duplicates.PAIRS", 1)
    assert compared(stack).pairs.tolist() == whole.tolist() == [[3, 20], [18, 21]]


def test_equal_digests_pair_with_the_first():
    assert exact_duplicate_pairs(["a", "b", "a", "c", "a"]).tolist() == [[0, 2], [0, 4]]
    assert exact_duplicate_pairs(["a", "b"]).shape == (0, 2)


def test_chains_of_pairs_are_one_group_named_by_its_smallest():
    assert group_numbers(6, np.array([[4, 5], [1, 4]])).tolist() == [0, 1, 2, 3, 1, 1]


def test_forty_edited_copies_among_four_hundred_films_are_found_and_hardly_anything_else():
    originals = cheap_films(np.random.default_rng(4), 400)
    edits = [*(copy for name, copy in COPIES.items() if "shifted" not in name), cropped]
    copies = [edits[i % len(edits)](originals[10 * i]) for i in range(40)]
    found = {tuple(pair) for pair in compared(planes([*originals, *copies])).pairs.tolist()}
    planted = {(10 * i, 400 + i) for i in range(40)}
    assert len(found & planted) / len(planted) >= 0.95
    assert len(found & planted) / len(found) >= 0.95


def test_the_nearest_picture_of_a_mirrored_copy_is_its_original(films):
    stack = planes([*films, films[3][:, ::-1]])
    nearest = compared(stack).nearest
    assert nearest[3] == nearest[20] <= 4
    assert np.delete(nearest, [3, 20]).min() > 20


def test_the_nearest_distance_does_not_depend_on_blocks(films, monkeypatch):
    stack = planes([*films, films[3][:, ::-1]])
    whole = compared(stack).nearest
    monkeypatch.setattr("cxr.dataset.duplicates.BLOCK", 7)
    monkeypatch.setattr("cxr.dataset.duplicates.PAIRS", 1)
    assert np.array_equal(compared(stack).nearest, whole)
    assert compared(stack[:1]).nearest.tolist() == [256]


@pytest.mark.parametrize("side", [48, 101, 128, 299])
def test_hashes_are_those_of_imagehash_bit_for_bit(films, side):
    stack = np.stack([to_plane(film, side) for film in films])
    expected = [
        [imagehash.phash(Image.fromarray(one), 16).hash.ravel() for one in (plane, plane[:, ::-1])] for plane in stack
    ]
    assert np.array_equal(perceptual_hashes(stack), expected)


def test_no_distance_depends_on_blocks_although_mirroring_is_not_symmetric(monkeypatch):
    hashes = np.random.default_rng(3).integers(0, 2, (60, 2, 256)).astype(bool)
    apart = np.stack([(hashes[:, None, 0] != hashes[None, :, way]).sum(axis=2) for way in (0, 1)])
    apart = np.minimum(apart, apart.transpose(0, 2, 1))
    apart[:, np.arange(60), np.arange(60)] = 256
    flat = np.zeros((60, 64, 64), np.uint8)
    for block in (256, 7):
        monkeypatch.setattr("cxr.dataset.duplicates.BLOCK", block)
        assert np.array_equal(compare_pictures(flat, hashes, 51, 0.97).nearest, apart.min(axis=(0, 1)))


def test_exact_and_near_copies_are_counted_by_group_and_class():
    table = manifest({"covid": 6, "normal": 4})
    table.loc[[0, 1, 2], "pixels_sha256"] = "a"
    table.loc[[0, 1, 2], "duplicate_group"] = 0
    table.loc[[4, 5], "duplicate_group"] = 4
    exact, near = exact_duplicates(table), near_duplicates(table, np.full(10, 70))
    assert (exact.result, near.result) == ("warn", "warn")
    assert [exact.values[key] for key in ("groups", "files", "redundant", "across_classes")] == [1, 3, 2, 0]
    assert [near.values[key] for key in ("groups", "files", "redundant", "largest_group")] == [2, 5, 3, 3]
    assert near.values["files_by_class"] == {"covid": 5}
    assert near.values["nearest_bits"][-1] == {"from": 65, "images": 10}


def test_a_release_without_copies_passes():
    table = manifest({"covid": 3, "normal": 3})
    assert exact_duplicates(table).result == "pass"
    assert near_duplicates(table, np.full(6, 256)).result == "pass"
    assert label_conflicts(table).result == "pass"


def test_one_picture_under_two_labels_fails_and_is_named():
    table = manifest({"covid": 3, "normal": 3})
    table.loc[4, "duplicate_group"] = 1
    record = label_conflicts(table)
    assert record.result == "fail"
    assert record.fixable
    assert "covid/images/1.png (covid) and normal/images/4.png (normal)" in record.found
    assert exact_duplicates(table).values["across_classes"] == 0
    assert near_duplicates(table, np.full(6, 9)).values["across_classes"] == 1
