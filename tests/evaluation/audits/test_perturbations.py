import numpy as np
import pytest

from cxr.evaluation.audits import perturbations as change
from cxr.evaluation.audits.perturbations import (
    Perturbed,
    border_only,
    changes,
    dependence,
    find_regions,
    high_pass,
    low_pass,
    measure_robustness,
    predict_variants,
    shuffle_patches,
    variants,
)
from cxr.evaluation.audits.subject import FULL
from cxr.evaluation.stats.intervals import balanced_accuracy, draw_weights
from tests.evaluation.audits.toys import SIDE, marked, noise, reader


def test_mirroring_twice_is_the_identity_and_once_is_not():
    planes = noise(3)
    assert np.array_equal(change.mirror(change.mirror(planes)), planes)
    assert np.array_equal(change.mirror(planes)[:, :, 0], planes[:, :, -1])
    assert not np.array_equal(change.mirror(planes), planes)


def test_inversion_is_white_minus_the_picture():
    planes = noise(3, high=256)
    assert np.array_equal(change.invert(planes).astype(int), 255 - planes.astype(int))


def test_jpeg_loses_something_and_more_at_a_lower_quality():
    planes = noise(2)
    loss = {quality: np.abs(change.jpeg(planes, quality).astype(int) - planes).mean() for quality in (50, 75)}
    assert 0 < loss[75] < loss[50] < 40


def test_brightness_multiplies_and_stops_at_white():
    assert change.brightness(np.full((1, 4, 4), 100, np.uint8), 1.2).tolist() == np.full((1, 4, 4), 120).tolist()
    assert change.brightness(np.full((1, 4, 4), 250, np.uint8), 1.2).max() == 255
    assert change.brightness(np.full((1, 4, 4), 100, np.uint8), 0.8).max() == 80


def test_contrast_keeps_the_mean_and_scales_the_spread():
    plane = np.array([[[100, 140], [100, 140]]], np.uint8)
    assert change.contrast(plane, 1.2).tolist() == [[[96, 144], [96, 144]]]
    assert change.contrast(plane, 0.8).tolist() == [[[104, 136], [104, 136]]]


def test_noise_has_the_deviation_asked_for_and_follows_from_the_seed_and_the_place():
    grey = np.full((3, 64, 64), 128, np.uint8)
    noisy = change.noise(grey, 8, 5)
    assert noisy.astype(float).std() == pytest.approx(8, abs=0.3)
    assert np.array_equal(noisy, change.noise(grey, 8, 5))
    assert np.array_equal(noisy[:2], change.noise(grey[:2], 8, 5))
    assert not np.array_equal(noisy, change.noise(grey, 8, 6))
    assert not np.array_equal(noisy[0], noisy[1])


def test_blurring_spreads_a_point_and_keeps_its_sum():
    plane = np.zeros((1, 33, 33), np.uint8)
    plane[0, 16, 16] = 255
    blurred = change.blur(plane, 1)
    assert blurred.max() == pytest.approx(255 / (2 * np.pi), abs=1.5)
    assert blurred.sum() == pytest.approx(255, abs=20)


def test_turning_moves_a_point_by_the_angle_and_repeats_the_edge():
    plane = np.full((1, 101, 101), 50, np.uint8)
    plane[0, 49:52, 88:93] = 250  # to the right of the centre, forty pixels off
    turned = change.turn(plane, 5)
    rows, columns = np.nonzero(turned[0] > 150)
    assert rows.mean() == pytest.approx(50 - 40 * np.sin(np.radians(5)), abs=0.7)
    assert columns.mean() == pytest.approx(50 + 40 * np.cos(np.radians(5)), abs=0.7)
    assert turned.min() == 50


def test_a_crop_enlarges_the_middle():
    plane = np.full((1, 100, 100), 200, np.uint8)
    plane[0, 5:95, 5:95] = 10
    assert change.crop(plane, 0.05).shape == plane.shape
    assert change.crop(plane, 0.05).max() == 10


@pytest.mark.parametrize("name", changes(0))
def test_every_change_gives_planes_of_the_same_form_and_leaves_the_picture_as_it_was(name):
    planes = noise(2)
    altered = changes(3)[name][1](planes)
    assert altered.dtype == np.uint8
    assert altered.shape == planes.shape
    assert not np.array_equal(altered, planes)
    assert np.array_equal(planes, noise(2))


TEXTURE_SIDE = 64
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
    planes = np.repeat(noise(1, side=TEXTURE_SIDE), 3, axis=0)
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
    planes = noise(len(TRUTH), side=TEXTURE_SIDE).astype(int)
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
    planes = noise(len(truth), side=TEXTURE_SIDE, high=60)
    for row, label in enumerate(truth):
        planes[row, 24 * label : 24 * label + 8] += 150
    assert balanced_accuracy(truth, read_layout(planes)) == 1
    assert balanced_accuracy(truth, read_layout(shuffle_patches(planes, 8, 1))) == pytest.approx(1 / 3, abs=0.06)


def test_low_pass_keeps_slow_waves_and_high_pass_keeps_fast_ones():
    place = np.arange(TEXTURE_SIDE) / TEXTURE_SIDE
    slow, fast = (np.rint(128 + 60 * np.sin(2 * np.pi * cycles * place)) for cycles in (2, 16))
    planes = np.stack([np.tile(wave, (TEXTURE_SIDE, 1)) for wave in (slow, fast)]).astype(np.uint8)

    def spread(altered):
        return altered[:, :, 12:-12].std(axis=(1, 2)) / planes[:, :, 12:-12].std(axis=(1, 2))

    low, high = spread(low_pass(planes, 8)), spread(high_pass(planes, 8))
    assert low == pytest.approx([np.exp(-((2 / 8) ** 2) / 2), np.exp(-((16 / 8) ** 2) / 2)], abs=0.03)
    assert high == pytest.approx([1 - np.exp(-((2 / 8) ** 2) / 2), 1 - np.exp(-((16 / 8) ** 2) / 2)], abs=0.03)


def test_low_and_high_pass_add_up_to_the_picture():
    planes = noise(2, side=TEXTURE_SIDE, high=100)
    whole = low_pass(planes, 4).astype(int) + high_pass(planes, 4) - 128
    assert np.abs(whole - planes).max() <= 1


TRUE_CLASSES = np.repeat([0, 1, 2], 30)
CORNER, CENTRE = (slice(0, 3), slice(0, 3)), (slice(14, 18), slice(14, 18))


def depends(place, masks=None):
    planes, predict = marked(TRUE_CLASSES, *place), reader(*place)
    answers = predict_variants({"toy": predict}, {"toy": predict(planes).argmax(axis=1)}, planes, masks, seed=1)["toy"]
    how = find_regions(SIDE, masks).how
    return dependence(TRUE_CLASSES, answers, how, draw_weights(TRUE_CLASSES, np.arange(len(TRUE_CLASSES)), 1, draws=50))


def test_a_network_that_reads_a_corner_does_not_depend_on_the_lungs():
    found = depends(CORNER)
    assert found.full.value == 1
    assert found.lung_dependence <= 0.1
    assert found.border_only.value == 1
    assert found.regions == "box"


def test_a_network_that_reads_the_centre_depends_on_the_lungs():
    found = depends(CENTRE)
    assert found.lung_dependence >= 0.9
    assert found.lungs_only.value == 1
    assert found.border_only.value == pytest.approx(1 / 3)


def test_the_box_follows_the_masks_where_there_are_some():
    masks = np.zeros((len(TRUE_CLASSES), SIDE, SIDE), np.bool_)
    masks[:, 1, 1:3] = masks[:, 2, 0:1] = True  # their box holds the corner's middle
    masks[:, 0, 0] = True
    found = depends(CORNER, masks)
    assert found.regions == "masks"
    assert find_regions(SIDE, masks, predicted=True).how == "predicted"
    assert found.lung_dependence >= 0.9


@pytest.mark.parametrize("right", [0, 3])  # of 60 that a constant answer has wrong: within its interval of chance
def test_the_dependence_of_a_network_at_chance_is_unknown(right):
    answers = {name: np.zeros(90, np.int64) for name in (FULL, "lungs_blacked", "border_only", "lungs_only")}
    answers[FULL][30 : 30 + right], answers[FULL][:2] = 1, 1
    found = dependence(TRUE_CLASSES, answers, "box", draw_weights(TRUE_CLASSES, np.arange(90), 1, draws=50))
    assert found.lung_dependence is None


def test_regions_black_out_what_they_say():
    planes = np.full((2, SIDE, SIDE), 9, np.uint8)
    masks = np.zeros((2, SIDE, SIDE), np.bool_)
    masks[0, 4:6, 8], masks[0, 10, 12:15] = True, True
    regions = find_regions(SIDE, masks)
    box = np.zeros((SIDE, SIDE), np.bool_)
    box[4:11, 8:15] = True
    assert np.array_equal(regions.lungs_blacked(planes)[0] == 0, box)
    assert np.array_equal(regions.lungs_only(planes)[0] == 9, box)
    # An image without a mask has the fixed box.
    assert np.array_equal(regions.inside[1], find_regions(SIDE, None).inside[0])
    assert (border_only(planes)[0] == 9).sum() == SIDE**2 - (SIDE - 6) ** 2


def test_every_variant_is_shown_to_every_network_once():
    planes, seen = noise(6), {"a": 0, "b": 0}

    def network(name):
        def predict(altered):
            seen[name] += 1
            return np.zeros((len(altered), 3), np.float32)

        return predict

    full = {name: np.full(6, 2) for name in seen}
    answers = predict_variants({name: network(name) for name in seen}, full, planes, None, seed=1)
    names = [name for name, _ in variants(planes, None, 1)]
    assert len(set(names)) == len(names)
    assert seen == {"a": len(names), "b": len(names)}
    assert list(answers["b"]) == [FULL, *names]
    assert answers["a"][FULL].tolist() == [2] * 6


def test_robustness_counts_falls_and_flips():
    answers = {name: TRUE_CLASSES.copy() for name in changes(0)} | {FULL: TRUE_CLASSES}
    answers["jpeg_50"] = np.where(np.arange(90) < 6, 1, TRUE_CLASSES)  # six of thirty of one class
    rows = {row.perturbation: row for row in measure_robustness(TRUE_CLASSES, answers)}
    assert rows["jpeg_50"].change == pytest.approx(-0.2 / 3, abs=1e-6)
    assert rows["jpeg_50"].flips == pytest.approx(6 / 90, abs=1e-6)
    assert rows["jpeg_50"].text == "JPEG quality 50"
    assert rows["blur"] == Perturbed("blur", "Gaussian blur, 1 pixel", 1.0, 0.0, 0.0)
