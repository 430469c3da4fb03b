import numpy as np
import pytest

from cxr.gate import Sign
from cxr.training.gate_params import GateParams, LimitParams
from cxr.training.gate_thresholds import limits_of, lowest_threshold, shares_seen, thresholds_of

SCORES = np.linspace(0, 1, 1001)[:1000]  # 0.000 to 0.999


@pytest.mark.parametrize(("share", "reached"), [(0.0, 0), (0.003, 3), (0.02, 20), (0.0029, 2)])
def test_a_threshold_lets_at_most_the_share_reach_it_and_is_the_lowest_such(share, reached):
    threshold = lowest_threshold(np.random.default_rng(0).permutation(SCORES), share)
    assert (threshold <= SCORES).sum() == reached
    assert (threshold - 2e-6 <= SCORES).sum() == reached + 1


def test_of_few_radiographs_none_may_be_rejected():
    assert (SCORES[:28] >= lowest_threshold(SCORES[:28], 0.003)).sum() == 0


def test_each_sign_has_its_own_share_and_no_probability_falls_below_the_least():
    scores = np.repeat(SCORES[:, None], len(Sign), axis=1)
    scores[:, list(Sign).index(Sign.INVERTED)] /= 100
    thresholds = thresholds_of(scores, GateParams(accept=0.997, flagged=0.01, unusual=0.02, least=0.5))
    assert thresholds[Sign.INVERTED] == 0.5
    counts = {sign: int((thresholds[sign] <= SCORES).sum()) for sign in Sign if sign is not Sign.INVERTED}
    assert counts == {
        Sign.NOT_A_RADIOGRAPH: 3, Sign.ROTATED_90: 10, Sign.ROTATED_180: 10, Sign.CROPPED: 10,
        Sign.OUT_OF_DISTRIBUTION: 20,
    }  # fmt: skip


def test_limits_of_exposure_are_those_of_the_radiographs_and_a_margin():
    greys = np.arange(51, 204).astype(np.uint8)  # 0.2 to 0.8 of the range
    planes = np.broadcast_to(greys[:, None, None], (len(greys), 8, 8)).copy()
    planes[-1, :4] = 255
    limits = limits_of(planes, LimitParams(exposure_share=0.0, exposure_margin=0.05, min_side=70))
    assert (limits.dark, limits.bright, limits.max_clipped) == pytest.approx((0.15, (203 + 255) / 2 / 255 + 0.05, 0.55))
    assert (limits.min_side, limits.max_aspect) == (70, 3.0)


def test_shares_are_of_the_radiographs_as_they_are_and_of_those_that_have_the_sign():
    thresholds = dict.fromkeys(Sign, 0.5)
    upright, changed = np.zeros((4, len(Sign))), np.zeros((3, len(Sign)))
    upright[0, 1], changed[:2, 1] = 0.5, (0.9, 0.1)
    targets = np.array([[0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [1, -1, -1, -1, -1]], np.float32)
    said = shares_seen(upright, changed, targets, thresholds)
    assert said["images"] == 4
    assert said["seen"] == dict.fromkeys(Sign, 0.0) | {"inverted": 0.25}
    assert said["found"] == {"not_a_radiograph": 0.0, "inverted": 0.5}
