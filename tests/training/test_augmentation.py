"""What another hospital might have done to an image: each variation alone, its size, and that off means off."""

import numpy as np
import pytest

from cxr.models import AugmentParams
from tests.training.conftest import NO_CHANGE

PLANES = np.random.default_rng(1).integers(0, 256, (20, 32, 32, 1), dtype=np.uint8)
SPOT = np.zeros((40, 33, 33, 1), np.uint8)
SPOT[:, 16, 16] = 255


def varied(images, augment=NO_CHANGE, draw=(1, 2), **amounts):
    from cxr.training.augmentation import augmented

    return augmented(images, augment.model_copy(update=amounts), draw).numpy()


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


pytestmark = pytest.mark.slow

GREY = np.full((40, 32, 32, 1), 100, np.uint8)
RAMP = np.tile(np.linspace(20, 230, 32, dtype=np.uint8)[:, None, None], (40, 1, 32, 1))


def scanned(images, draw=(1, 2), **amounts):
    from cxr.training.augmentation import augmented

    return augmented(images, NO_CHANGE.model_copy(update=amounts), np.array(draw, np.int64)).numpy()


def of_images(varied_images, statistic):
    return np.array([statistic(image.astype(float)) for image in varied_images])


@pytest.mark.parametrize("name", ["gamma", "blur", "noise", "border", "markers", "tone", "texture"])
def test_each_variation_follows_its_draw_and_changes_images_differently(name):
    first, again, other = (scanned(RAMP, draw, **{name: 0.3}) for draw in ((1, 2), (1, 2), (1, 3)))
    assert (first.dtype, first.shape) == (np.uint8, RAMP.shape)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len({image.tobytes() for image in first}) > 2


def test_gamma_darkens_and_brightens_the_middle_and_keeps_black_and_white():
    ends = np.stack([np.full((8, 8, 1), level, np.uint8) for level in (0, 255)] * 20)
    assert np.abs(scanned(ends, gamma=0.5).astype(int) - ends).max() <= 1
    means = of_images(scanned(GREY, gamma=0.5), np.mean)
    lowest, highest = (255 * (100 / 255) ** np.exp(sign * 0.5) for sign in (1, -1))
    assert lowest - 1 <= means.min() < 80
    assert 120 < means.max() <= highest + 1


def test_blur_flattens_some_and_sharpens_others():
    checks = np.tile(np.indices((32, 32)).sum(axis=0)[..., None] % 2 * 100 + 75, (40, 1, 1, 1)).astype(np.uint8)
    spread = of_images(scanned(checks, blur=0.9), np.std) / checks[0].std()
    assert spread.min() < 0.7
    assert spread.max() > 1.2


def test_noise_has_at_most_its_standard_deviation():
    spread = of_images(scanned(GREY, noise=0.05), np.std)
    assert 10 < spread.max() <= 0.05 * 255 * 1.1
    assert spread.min() < 3


def test_a_border_is_one_grey_at_the_edge_and_leaves_the_middle_and_half_of_the_images_alone():
    images = scanned(RAMP, border=0.2)[..., 0]
    assert np.array_equal(images[:, 8:24, 8:24], RAMP[:, 8:24, 8:24, 0])
    changed = [image for image in images if not np.array_equal(image, RAMP[0, ..., 0])]
    assert 10 <= len(changed) <= 30
    assert any((image[:, 0] == 0).all() for image in changed)
    assert all(len(np.unique(image[image != RAMP[0, ..., 0]])) == 1 for image in changed)


def test_markers_are_near_an_edge_in_their_share_of_images_bright_or_painted_out():
    images = scanned(GREY, markers=0.5)[..., 0].astype(int)
    assert np.array_equal(images[:, 14:18, 14:18], GREY[:, 14:18, 14:18, 0])
    greys = [np.unique(image[image != 100]) for image in images]
    painted = [grey[0] for grey in greys if len(grey)]
    assert 4 <= len(painted) <= 20  # half of the images, less those painted out in a grey that was there already
    assert all(grey >= 178 for grey in painted)
    ramp = scanned(RAMP, markers=1.0)[..., 0]
    hidden = [image for image in ramp if not (image > 230).any() and not np.array_equal(image, RAMP[0, ..., 0])]
    assert hidden


DARK_AND_BRIGHT = np.concatenate([RAMP[:20] // 4, 255 - RAMP[20:] // 4])


def test_matched_images_have_the_levels_of_another_and_keep_the_order_of_their_own():
    images = scanned(DARK_AND_BRIGHT, match=1.0)
    dark = of_images(images, np.mean) < 128
    assert 4 <= (~dark[:20]).sum() <= 16
    assert 4 <= dark[20:].sum() <= 16
    for before, after in zip(DARK_AND_BRIGHT, images, strict=True):
        assert (np.diff(after.ravel()[np.argsort(before.ravel(), kind="stable")].astype(int)) >= 0).all()


def test_a_share_of_images_is_matched():
    before, after = (of_images(images, np.mean) for images in (DARK_AND_BRIGHT, scanned(DARK_AND_BRIGHT, match=0.3)))
    assert 1 <= (np.abs(before - after) > 50).sum() <= 15


def test_a_tone_curve_rises_and_keeps_black_and_white():
    levels = np.tile(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), (40, 1, 1, 1))
    curves = scanned(levels, tone=1.0).reshape(40, 256).astype(int)
    assert (np.diff(curves) >= 0).all()
    assert (curves[:, 0] == 0).all()
    assert (curves[:, -1] == 255).all()
    assert curves[:, 128].min() < 100
    assert curves[:, 128].max() > 156


def test_amplitudes_come_from_another_image_and_phases_stay():
    noise = np.random.default_rng(3).integers(90, 110, (40, 32, 32, 1))
    flat, bold = noise[:20], (noise[20:] - 100) * 8 + 100
    images = np.concatenate([flat, bold]).astype(np.uint8)
    varied_images = scanned(images, amplitude=1.0).astype(float)
    change = varied_images.std(axis=(1, 2, 3)) / images.std(axis=(1, 2, 3))
    assert change[:20].max() > 2
    assert change[20:].min() < 0.7
    assert 8 <= (np.abs(change - 1) < 0.01).sum() <= 36  # half have none, others met one of their own kind
    alike = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(images, varied_images, strict=True)]
    assert min(alike) > 0.6


def test_texture_keeps_mean_and_contrast_of_an_image_filtered_whole():
    noise = np.random.default_rng(4).normal(128, 12, (40, 32, 32, 1)).clip(0, 255).astype(np.uint8)
    images = scanned(noise, texture=1.0)
    assert np.abs(of_images(images, np.mean) - of_images(noise, np.mean)).max() < 1
    assert (of_images(images, np.std) <= of_images(noise, np.std) + 0.5).all()
    assert 10 <= sum(not np.array_equal(a, b) for a, b in zip(images, noise, strict=True)) <= 30
