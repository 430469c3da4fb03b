import numpy as np
import pytest

from cxr.training.gate_bodies import BODIES, CUTS, HOUNSFIELD, Stage, Tube, ct, radiograph
from cxr.training.gate_drawing import grid

SIDE = 64


@pytest.fixture
def stage():
    rows, columns = grid(SIDE)
    return Stage(2 * columns - 1, 2 * rows - 1)


def test_a_ray_runs_through_a_rod_by_its_chord_and_through_what_its_shell_leaves(stage):
    where, outer, inner = stage.met(Tube([(-0.5, 0), (0.5, 0)], [0.2, 0.2]), shell=0.05)
    away = np.abs(stage.y[where])[:, outer.shape[1] // 2]
    np.testing.assert_allclose(outer[:, outer.shape[1] // 2], 2 * np.sqrt(np.maximum(0.2**2 - away**2, 0)))
    np.testing.assert_allclose(inner[:, outer.shape[1] // 2], 2 * np.sqrt(np.maximum(0.15**2 - away**2, 0)))


def test_a_rod_of_one_point_is_a_ball_and_what_lies_beyond_the_picture_is_not_met(stage):
    where, outer, _ = stage.met(Tube([(0, 0)], [0.5]))
    reach = np.hypot(stage.x[where], stage.y[where])
    np.testing.assert_allclose(outer, 2 * np.sqrt(np.maximum(0.25 - reach**2, 0)))
    assert stage.met(Tube([(3, 3)], [0.5]))[1].size == 0


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_no_two_radiographs_of_a_body_part_are_alike_and_each_shows_something(body):
    films = [radiograph(body, np.random.default_rng([1, n]), SIDE) for n in range(6)]
    assert len({film.tobytes() for film in films}) == 6
    assert min(film.std() for film in films) > 3
    likeness = np.abs(np.corrcoef(np.array(films).reshape(6, -1)) - np.eye(6))
    assert likeness.max() < 0.97


@pytest.mark.parametrize("part", CUTS)
def test_a_slice_is_dark_where_nothing_is_and_names_only_tissues_with_a_number(part):
    assert {tissue for tissue, *_ in CUTS[part]} <= set(HOUNSFIELD)
    slices = np.array([ct(part, np.random.default_rng([2, n]), SIDE) for n in range(8)])
    assert np.median(slices[:, SIDE // 2 - 8 : SIDE // 2 + 8, SIDE // 2 - 8 : SIDE // 2 + 8]) > np.median(
        slices[:, :4, :4]
    )
