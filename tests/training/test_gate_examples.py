import numpy as np
import pytest

from cxr.inference.gate import Sign
from cxr.models.gate import LEARNED
from cxr.models.layers import tf
from cxr.training.gate_examples import UNKNOWN, draw_views
from tests.training.conftest import NO_CHANGE

COUNT, SIDE = 64, 32
# Neighbouring pixels are equal, so that at half the side nothing is lost; a corner differs from each other.
SMALL = np.add.outer(np.arange(SIDE) * 5, np.arange(SIDE) * 2).astype(np.uint8)
PLANES = np.broadcast_to(SMALL.repeat(2, axis=0).repeat(2, axis=1)[..., None], (COUNT, 2 * SIDE, 2 * SIDE, 1))


@pytest.fixture(scope="module")
def drawn():
    return views(np.ones(COUNT, bool))


def views(radiograph, seed=1):
    drawn = draw_views(tf.constant(PLANES), tf.constant(radiograph), SIDE, NO_CHANGE, tf.constant([seed, 2], tf.int64))
    return tuple(np.asarray(part) for part in drawn)


def column(targets, sign):
    return targets[:, LEARNED.index(sign)] == 1


def test_targets_say_what_was_done_to_each_radiograph(drawn):
    pictures, targets = drawn
    assert set(np.unique(targets)) == {0.0, 1.0}
    assert not column(targets, Sign.NOT_A_RADIOGRAPH).any()
    for picture, target in zip(pictures[..., 0], targets, strict=True):
        signs = {sign for sign, value in zip(LEARNED, target, strict=True) if value}
        if Sign.CROPPED in signs:
            continue
        upright = np.array(255 - picture if Sign.INVERTED in signs else picture)
        quarters = {Sign.ROTATED_90: (1, 3), Sign.ROTATED_180: (2,)}
        possible = next((turns for sign, turns in quarters.items() if sign in signs), (0,))
        assert any(np.array_equal(np.rot90(upright, turns), SMALL) for turns in possible)


def test_every_sign_is_drawn_and_so_are_radiographs_as_they_are(drawn):
    _, targets = drawn
    for sign in LEARNED[1:]:
        assert 4 < column(targets, sign).sum() < COUNT / 2
    assert (targets.sum(axis=1) == 0).sum() > 4
    assert not (column(targets, Sign.ROTATED_90) & column(targets, Sign.ROTATED_180)).any()


def test_a_crop_shows_less_of_the_range_of_a_slope(drawn):
    pictures, targets = drawn
    ranges = np.ptp(pictures.astype(int), axis=(1, 2, 3))
    cropped = column(targets, Sign.CROPPED)
    assert ranges[cropped].max() < 0.7 * np.ptp(SMALL.astype(int)) < ranges[~cropped].min()


def test_what_is_no_radiograph_is_not_cropped_and_has_no_other_target():
    pictures, targets = views(np.zeros(COUNT, bool))
    assert column(targets, Sign.NOT_A_RADIOGRAPH).all()
    assert (targets[:, 1:] == UNKNOWN).all()
    assert np.ptp(pictures.astype(int), axis=(1, 2, 3)).min() == np.ptp(SMALL.astype(int))


def test_the_same_lots_give_the_same_views_and_others_give_others(drawn):
    again, other = views(np.ones(COUNT, bool)), views(np.ones(COUNT, bool), seed=2)
    np.testing.assert_array_equal(drawn[0], again[0])
    np.testing.assert_array_equal(drawn[1], again[1])
    assert not np.array_equal(drawn[1], other[1])
