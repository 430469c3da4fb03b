import numpy as np
import pytest

from cxr.inference.lungs import LUNGS
from cxr.models.lungs import MULTIPLE, build
from cxr.training.params import LungParams

SIDE = 32
NOISE = np.random.default_rng(0).integers(0, 128, (3, SIDE, SIDE, 1)).astype(np.uint8)


@pytest.fixture(scope="module", autouse=True)
def _pinned(pinned_tensorflow):
    """Every test here runs TensorFlow."""


def test_a_segmenter_of_96_pixels_takes_less_than_twenty_million_operations_and_few_weights():
    from cxr.training.train import gflop

    model = build(128, 96)
    assert 0 < gflop(model) < 0.02
    assert model.count_params() < 100_000


@pytest.mark.parametrize(("plane_side", "side"), [(SIDE, SIDE), (40, SIDE), (SIDE, 2 * SIDE)])
def test_there_is_a_logit_for_each_pixel_of_the_plane_whatever_the_networks_own_side(plane_side, side):
    planes = np.zeros((2, plane_side, plane_side, 1), np.uint8)
    assert build(plane_side, side)(planes, training=False)[LUNGS].shape == planes.shape


def test_exposure_moves_no_lung():
    model = build(SIDE, SIDE)
    as_it_is, brighter = (np.asarray(model(planes, training=False)[LUNGS]) for planes in (NOISE, NOISE + 100))
    np.testing.assert_allclose(brighter, as_it_is, atol=1e-3)
    assert np.ptp(as_it_is) > 0


def test_the_recipe_takes_the_sides_that_can_be_halved_so_often():
    assert LungParams(side=6 * MULTIPLE).side == 96
    with pytest.raises(ValueError, match="multiple of 16"):
        LungParams(side=6 * MULTIPLE + 8)
