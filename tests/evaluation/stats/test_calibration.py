import numpy as np
import pytest

from cxr.evaluation.stats.calibration import (
    BINS,
    SIGNIFICANT,
    calibration_error,
    calibration_section,
    null_errors,
    null_p,
    reliability,
)
from tests.evaluation.stats.cases import CLASSES, Answers, calibrated


def test_calibration_error_equals_a_calculation_by_hand():
    confidence = np.array([0.9, 0.5, 0.6, 0.8])
    right = np.array([True, False, True, True])
    # Bins {0.5, 0.6} and {0.8, 0.9}: |0.55 - 0.5| and |0.85 - 1|, each of two images.
    assert calibration_error(confidence, right, 2) == pytest.approx((0.05 + 0.15) / 2, abs=1e-12)
    assert calibration_error(confidence, right, 15) == pytest.approx((0.1 + 0.5 + 0.4 + 0.2) / 4, abs=1e-12)


def test_calibrated_answers_are_called_so_in_19_of_20_sets(record_property):
    fine = 0
    for seed in range(500):
        answers = calibrated(300, seed)
        error = calibration_error(answers.confidence, answers.right, BINS[-1])
        fine += null_p(error, null_errors(answers.confidence, BINS[-1], seed + 1000)) > SIGNIFICANT
    record_property("not_distinguishable", fine / 500)
    assert 0.93 <= fine / 500 <= 0.97


def test_the_band_of_a_good_calibrated_network_is_where_it_was_published():
    # 717 answers, most of them sure: about 0.013, and 0.020 at the 95th percentile.
    confidence = 1 - np.random.default_rng(1).beta(0.25, 4.0, size=717) * 2 / 3
    draws = null_errors(confidence, 15, seed=2)
    assert draws.mean() == pytest.approx(0.013, abs=0.005)


def test_overconfident_answers_are_told_from_calibrated_ones():
    true = calibrated(717, 3)
    sharp = true.probabilities**2.5
    before = Answers(CLASSES, true.truth, sharp / sharp.sum(axis=1, keepdims=True), true.group)
    section = calibration_section(before, true, 2.5, seed=1)
    assert section["before"]["ece15"] > section["after"]["null_high"] > section["after"]["null_low"] > 0
    assert section["before"]["log_loss"] > section["after"]["log_loss"]
    assert section["distinguishable"] is False
    assert calibration_section(before, before, 1.0, seed=1)["distinguishable"] is True


def test_brier_score_of_several_classes_is_a_sum_over_classes():
    answers = Answers(CLASSES, np.array([0]), np.array([[0.5, 0.3, 0.2]]), np.zeros(1, int))
    assert answers.squares[0] == pytest.approx(0.25 + 0.09 + 0.04)


def test_reliability_bins_hold_all_images_and_their_interval_holds_the_share():
    answers = calibrated(103, 1)
    bins = reliability(answers.confidence, answers.right)
    assert len(bins) == 10
    assert sum(one["n"] for one in bins) == 103
    assert all(one["low"] <= one["accuracy"] <= one["high"] for one in bins)
    assert [one["confidence"] for one in bins] == sorted(one["confidence"] for one in bins)
    assert len(reliability(answers.confidence[:4], answers.right[:4])) == 4
