"""One drawn phantom: shapes, repeatability, and findings that lie where the disease would."""

import numpy as np
import pytest

from cxr.phantom.anatomy import LEFT, RIGHT, Finding, X, Y, draw_finding, draw_thorax, lung
from cxr.phantom.film import Phantom, draw_phantom


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return draw_phantom(Finding.NONE, [7, 3], 0)


def test_a_phantom_has_the_releases_sizes_and_a_binary_mask(phantom):
    assert (phantom.luminance.shape, phantom.luminance.dtype) == ((299, 299), np.uint8)
    assert (phantom.lungs.shape, phantom.lungs.dtype) == ((256, 256), np.uint8)
    assert set(np.unique(phantom.lungs)) == {0, 255}


def test_equal_arguments_give_equal_pixels_and_another_film_of_the_patient_does_not(phantom):
    again, other = draw_phantom(Finding.NONE, [7, 3], 0), draw_phantom(Finding.NONE, [7, 3], 1)
    assert np.array_equal(again.luminance, phantom.luminance)
    assert np.array_equal(again.lungs, phantom.lungs)
    assert not np.array_equal(other.luminance, phantom.luminance)


def test_lungs_are_darker_than_what_surrounds_them(phantom):
    rows = columns = (np.arange(299) * 256 / 299).astype(int)
    inside = phantom.lungs[np.ix_(rows, columns)] > 0
    middle = np.zeros_like(inside)
    middle[80:240, 130:170] = True  # mediastinum and spine
    assert phantom.luminance[inside].mean() < phantom.luminance[middle & ~inside].mean() - 20


def test_the_heart_takes_more_of_the_left_lung_which_is_on_the_images_right(phantom):
    assert phantom.lungs[:, :128].sum() > phantom.lungs[:, 128:].sum()


def test_the_right_hemidiaphragm_stands_higher():
    habitus = draw_thorax(np.random.default_rng(0)).habitus
    columns = np.abs(X[0]) > 0.3
    lowest = {
        side: Y[(lung(habitus, side) > 0.5)[:, columns & (side * X[0] < 0.4)].any(axis=1)].max()
        for side in (RIGHT, LEFT)
    }
    assert lowest[RIGHT] < lowest[LEFT]


def test_a_normal_phantom_has_no_finding():
    thorax = draw_thorax(np.random.default_rng(0))
    assert not draw_finding(thorax, Finding.NONE, np.random.default_rng(1)).any()


@pytest.mark.parametrize("finding", [Finding.GROUND_GLASS, Finding.INTERSTITIAL, Finding.CONSOLIDATION])
def test_a_finding_adds_attenuation_only_inside_the_lungs(finding):
    thorax = draw_thorax(np.random.default_rng(0))
    added = draw_finding(thorax, finding, np.random.default_rng(1))
    assert added.min() >= 0
    assert added.max() > 0.05
    assert added[thorax.lungs < 1e-6].max() < 1e-6


def _centre(finding: Finding) -> tuple[float, float]:
    """Mean distance from the midline and mean height of what the finding adds, over a few patients."""
    total = np.zeros_like(X)
    for seed in range(4):
        total += draw_finding(draw_thorax(np.random.default_rng(seed)), finding, np.random.default_rng(seed + 100))
    return float((np.abs(X) * total).sum() / total.sum()), float((Y * total).sum() / total.sum())


def test_ground_glass_lies_lower_and_farther_out_than_interstitial_disease():
    ground_glass, interstitial = _centre(Finding.GROUND_GLASS), _centre(Finding.INTERSTITIAL)
    assert ground_glass[0] > interstitial[0] + 0.05
    assert ground_glass[1] > interstitial[1] + 0.10


def test_consolidation_is_on_one_side_and_the_other_findings_on_both():
    thorax = draw_thorax(np.random.default_rng(0))
    for finding in (Finding.GROUND_GLASS, Finding.INTERSTITIAL, Finding.CONSOLIDATION):
        added = draw_finding(thorax, finding, np.random.default_rng(1))
        right, left = added[X < 0].sum(), added[X > 0].sum()
        minor = min(right, left) / (right + left)
        assert minor < 0.01 if finding is Finding.CONSOLIDATION else minor > 0.15


def test_a_finding_leaves_the_films_mean_luminance_alone():
    plain = draw_phantom(Finding.NONE, [7, 5], 0).luminance.mean()
    for finding in (Finding.GROUND_GLASS, Finding.INTERSTITIAL):
        assert draw_phantom(finding, [7, 5], 0).luminance.mean() == pytest.approx(plain, abs=3)
