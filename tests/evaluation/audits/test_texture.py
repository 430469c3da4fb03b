import numpy as np
import pytest

from cxr.evaluation.audits.answers import balanced_accuracy
from cxr.evaluation.audits.texture import high_pass, low_pass, shuffle_patches
from tests.evaluation.audits.toys import noise

SIDE = 64
TRUTH = np.repeat([0, 1, 2], 40)


def test_shuffling_moves_whole_patches_and_loses_none():
    plane = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    shuffled = shuffle_patches(plane, 4, 1)
    assert not np.array_equal(shuffled, plane)
    assert sorted(shuffled.ravel().tolist()) == list(range(64))
    patches = {tuple(plane[0, r : r + 2, c : c + 2].ravel()) for r in range(0, 8, 2) for c in range(0, 8, 2)}
    moved = {tuple(shuffled[0, r : r + 2, c : c + 2].ravel()) for r in range(0, 8, 2) for c in range(0, 8, 2)}
    assert moved == patches


def test_the_order_follows_from_seed_and_place_and_differs_between_images():
    planes = np.repeat(noise(1, side=SIDE), 3, axis=0)
    shuffled = shuffle_patches(planes, 8, 1)
    assert np.array_equal(shuffled, shuffle_patches(planes, 8, 1))
    assert not np.array_equal(shuffled[0], shuffled[1])
    assert not np.array_equal(shuffled, shuffle_patches(planes, 8, 2))


def test_a_side_that_is_no_multiple_of_the_grid_keeps_its_rest():
    planes = noise(2, side=67)
    shuffled = shuffle_patches(planes, 8, 1)
    assert np.array_equal(shuffled[:, 64:], planes[:, 64:])
    assert np.array_equal(shuffled[:, :, 64:], planes[:, :, 64:])


def test_a_network_that_reads_texture_alone_stays_right_when_patches_are_shuffled():
    planes = noise(len(TRUTH), side=SIDE).astype(int)
    planes = (128 + (planes - 80) * (TRUTH + 1)[:, None, None] / 3).clip(0, 255).astype(np.uint8)
    shuffled = shuffle_patches(planes, 8, 1)
    said = np.abs(shuffled.std(axis=(1, 2))[:, None] - 46.2 * (np.arange(3) + 1) / 3).argmin(axis=1)
    assert balanced_accuracy(TRUTH, said) >= 0.9


def test_a_network_that_reads_layout_alone_falls_to_chance_when_patches_are_shuffled():
    def read_layout(planes):
        """The brightest of three bands; each class has the same patches in another order."""
        bands = [planes[:, 8 * k : 8 * (k + 1)].mean(axis=(1, 2)) for k in (0, 3, 6)]
        return np.stack(bands, axis=1).argmax(axis=1)

    truth = np.repeat([0, 1, 2], 300)
    planes = noise(len(truth), side=SIDE, high=60)
    for row, label in enumerate(truth):
        planes[row, 24 * label : 24 * label + 8] += 150
    assert balanced_accuracy(truth, read_layout(planes)) == 1
    assert balanced_accuracy(truth, read_layout(shuffle_patches(planes, 8, 1))) == pytest.approx(1 / 3, abs=0.06)


def test_low_pass_keeps_slow_waves_and_high_pass_keeps_fast_ones():
    place = np.arange(SIDE) / SIDE
    slow, fast = (np.rint(128 + 60 * np.sin(2 * np.pi * cycles * place)) for cycles in (2, 16))
    planes = np.stack([np.tile(wave, (SIDE, 1)) for wave in (slow, fast)]).astype(np.uint8)

    def spread(altered):
        return altered[:, :, 12:-12].std(axis=(1, 2)) / planes[:, :, 12:-12].std(axis=(1, 2))

    low, high = spread(low_pass(planes, 8)), spread(high_pass(planes, 8))
    assert low == pytest.approx([np.exp(-((2 / 8) ** 2) / 2), np.exp(-((16 / 8) ** 2) / 2)], abs=0.03)
    assert high == pytest.approx([1 - np.exp(-((2 / 8) ** 2) / 2), 1 - np.exp(-((16 / 8) ** 2) / 2)], abs=0.03)


def test_low_and_high_pass_add_up_to_the_picture():
    planes = noise(2, side=SIDE, high=100)
    whole = low_pass(planes, 4).astype(int) + high_pass(planes, 4) - 128
    assert np.abs(whole - planes).max() <= 1
