import numpy as np
import pytest

from cxr.training.params import AugmentParams
from tests.training.conftest import NO_CHANGE

pytestmark = pytest.mark.slow

PLANES = np.random.default_rng(1).integers(0, 256, (20, 32, 32, 1), dtype=np.uint8)
SPOT = np.zeros((40, 33, 33, 1), np.uint8)
SPOT[:, 16, 16] = 255


def varied(images, augment=NO_CHANGE, draw=(1, 2), **amounts):
    from cxr.training.augmentation import vary

    return vary(images, augment.model_copy(update=amounts), draw).numpy()


def test_without_amounts_nothing_changes():
    assert np.array_equal(varied(PLANES), PLANES)


def test_pixels_change_within_the_range_and_each_image_by_its_own_amounts():
    images = varied(np.repeat(PLANES[:1], 8, axis=0), AugmentParams())
    assert (images.dtype, images.shape) == (np.uint8, (8, 32, 32, 1))
    assert len({image.tobytes() for image in images}) == 8


def test_the_same_draw_gives_the_same_images_and_another_others():
    first, again, other = (varied(PLANES, AugmentParams(), draw) for draw in ((1, 2), (1, 2), (1, 3)))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_rotation_and_zoom_keep_the_centre():
    for image in varied(SPOT, rotation=0.1, zoom=0.3):
        assert image[..., 0].argmax() == 16 * 33 + 16


def test_a_shift_moves_by_at_most_its_share_and_zero_comes_from_outside():
    images = varied(np.full((40, 32, 32, 1), 200, np.uint8), shift=0.25)[..., 0]
    moved = [32 - (image[:, 8:24].max(axis=1) == 200).sum() for image in images]
    assert 4 <= max(moved) <= 9
    assert images.min() == 0


def test_zoom_changes_the_size_both_ways():
    block = np.zeros((40, 64, 64, 1), np.uint8)
    block[:, 16:48, 16:48] = 255
    sizes = (varied(block, zoom=0.2) > 127).sum(axis=(1, 2, 3)) ** 0.5
    assert 26 <= sizes.min() < 30
    assert 34 < sizes.max() <= 41


def test_brightness_moves_the_mean_and_contrast_only_the_spread():
    grey = np.random.default_rng(0).integers(100, 150, (40, 32, 32, 1), dtype=np.uint8)
    brighter, harder = varied(grey, brightness=0.1), varied(grey, contrast=0.5)
    change = brighter.mean(axis=(1, 2, 3)) - grey.mean(axis=(1, 2, 3))
    assert -26 <= change.min() < -10
    assert 10 < change.max() <= 26
    assert np.abs(harder.mean(axis=(1, 2, 3)) - grey.mean(axis=(1, 2, 3))).max() < 0.6
    spread = harder.std(axis=(1, 2, 3)) / grey.std(axis=(1, 2, 3))
    assert 0.5 <= spread.min() + 0.01 < 0.8
    assert 1.2 < spread.max() <= 1.51
