import numpy as np
import pytest
from scipy.ndimage import sobel

from cxr.dataset.appearance import appearance_features, border_features, centre_mask


def planes(count=6, side=40):
    return np.random.default_rng(0).integers(0, 256, (count, side, side), dtype=np.uint8)


def by_hand(plane):
    grey = plane.astype(np.float64)
    edges = np.hypot(sobel(grey, axis=0), sobel(grey, axis=1)) / 8
    inside = grey[4:-4, 4:-4], edges[4:-4, 4:-4]
    areas = (grey, inside[0], edges, inside[1])
    outside = grey[~centre_mask(len(plane))]
    numbers = [of(area) for area in areas for of in (np.min, np.max, np.mean, np.median, np.std)]
    return [*numbers, outside.mean(), outside.std()]


def test_the_22_numbers_are_what_they_say():
    stack = planes()
    assert np.allclose(appearance_features(stack), [by_hand(plane) for plane in stack], rtol=1e-4)


@pytest.mark.parametrize("side", [40, 41])
def test_medians_are_exact_for_an_even_and_an_odd_number_of_pixels(side):
    stack = np.clip(np.random.default_rng(1).normal(40, 30, (5, side, side)), 0, 255).astype(np.uint8)
    assert np.array_equal(appearance_features(stack)[:, 3], np.median(stack.reshape(5, -1).astype(np.float32), axis=1))


def test_a_planes_numbers_do_not_depend_on_its_neighbours(monkeypatch):
    stack = planes()
    alone = np.concatenate([appearance_features(plane[None]) for plane in stack])
    assert np.allclose(appearance_features(stack), alone, rtol=1e-5)
    monkeypatch.setattr("cxr.dataset.appearance.BLOCK", 4)
    assert np.allclose(appearance_features(stack), alone, rtol=1e-5)


def test_only_the_frame_reaches_the_frames_numbers():
    stack = planes(2, 44)
    changed = stack.copy()
    changed[:, 4:-4, 4:-4] = 0  # inside the 11 x 11 grid's border
    assert border_features(stack).shape == (2, 80)
    assert np.array_equal(border_features(stack), border_features(changed))
    changed[:, 0, 0] = 255 - changed[:, 0, 0]
    assert not np.array_equal(border_features(stack), border_features(changed))
