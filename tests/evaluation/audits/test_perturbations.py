import numpy as np
import pytest

from cxr.evaluation.audits import perturbations as change
from cxr.evaluation.audits.variants import changes
from tests.evaluation.audits.toys import noise


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
