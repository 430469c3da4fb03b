import numpy as np
import pytest

from cxr.core.image import to_plane
from cxr.phantom.anatomy import Finding
from cxr.phantom.film import draw_phantom
from cxr.training.gate_negatives import KINDS, draw_negatives

SIDE = 64


@pytest.fixture(scope="module")
def films():
    return np.stack([to_plane(draw_phantom(Finding.NONE, [number], 0).luminance, SIDE) for number in range(4)])


def test_kinds_come_in_turn_and_the_same_seed_draws_the_same(films):
    first, kinds = draw_negatives(2 * len(KINDS), films, 1)
    assert kinds == [*KINDS, *KINDS]
    assert first.shape == (len(kinds), SIDE, SIDE)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, draw_negatives(2 * len(KINDS), films, 1)[0])


def test_pictures_are_all_different_and_another_seed_draws_others(films):
    pictures = np.concatenate([draw_negatives(2 * len(KINDS), films, seed)[0] for seed in (1, 2)])
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_a_picture_does_not_depend_on_how_many_are_drawn(films):
    np.testing.assert_array_equal(draw_negatives(5, films, 3)[0], draw_negatives(len(KINDS), films, 3)[0][:5])


def test_no_picture_is_blank_or_a_radiograph(films):
    pictures, kinds = draw_negatives(6 * len(KINDS), films, 4)
    flat = films.reshape(len(films), -1)
    for picture, kind in zip(pictures, kinds, strict=True):
        assert picture.std() > 1, kind
        likeness = max(abs(np.corrcoef(picture.ravel(), film)[0, 1]) for film in flat)
        assert likeness < 0.95, kind
