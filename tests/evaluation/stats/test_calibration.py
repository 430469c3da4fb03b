import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from cxr.evaluation.stats.calibration import (
    BINS,
    SIGNIFICANT,
    calibration_by_temperature,
    calibration_error,
    fit_temperature,
    null_errors,
    null_p,
    reliability,
)
from cxr.evaluation.stats.classification import Predictions
from cxr.inference.network import softmax
from tests.evaluation.stats.cases import CLASSES, calibrated, outputs


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
    record_property("not_distinguishable", float(fine / 500))
    assert 0.93 <= fine / 500 <= 0.97


def test_the_band_of_a_good_calibrated_network_is_where_it_was_published():
    # 717 answers, most of them sure: about 0.013, and 0.020 at the 95th percentile.
    confidence = 1 - np.random.default_rng(1).beta(0.25, 4.0, size=717) * 2 / 3
    draws = null_errors(confidence, 15, seed=2)
    assert draws.mean() == pytest.approx(0.013, abs=0.005)


def test_overconfident_answers_are_told_from_calibrated_ones():
    true = calibrated(717, 3)
    sharp = true.probabilities**2.5
    before = Predictions(CLASSES, true.truth, sharp / sharp.sum(axis=1, keepdims=True), true.group)
    section = calibration_by_temperature(before, true, 2.5, seed=1)
    assert section.before.ece15 > section.after.null_high > section.after.null_low > 0
    assert section.before.log_loss > section.after.log_loss
    assert section.distinguishable is False
    assert calibration_by_temperature(before, before, 1.0, seed=1).distinguishable is True


def test_brier_score_of_several_classes_is_a_sum_over_classes():
    answers = Predictions(CLASSES, np.array([0]), np.array([[0.5, 0.3, 0.2]]), np.zeros(1, int))
    assert answers.squares[0] == pytest.approx(0.25 + 0.09 + 0.04)


def test_reliability_bins_hold_all_images_and_their_interval_holds_the_share():
    answers = calibrated(103, 1)
    bins = reliability(answers.confidence, answers.right)
    assert len(bins) == 10
    assert sum(one.n for one in bins) == 103
    assert all(one.low <= one.accuracy <= one.high for one in bins)
    assert [one.confidence for one in bins] == sorted(one.confidence for one in bins)
    assert len(reliability(answers.confidence[:4], answers.right[:4])) == 4


def planted(seed, factor=2.5, n=360):
    answers = calibrated(n, seed, sharpness=2.5)
    return np.log(answers.probabilities) * factor, answers.truth


def loss(truth, probabilities):
    return -np.log(probabilities[np.arange(len(truth)), truth]).mean()


def test_a_planted_temperature_is_found_and_mends_the_log_loss_and_no_prediction_changes(record_property):
    inverse, falls = [], []
    for seed in range(60):
        logits, truth = planted(seed)
        temperature = fit_temperature(logits, truth)
        before, after = softmax(logits), softmax(logits / temperature)
        assert (before.argmax(axis=1) == after.argmax(axis=1)).all()
        inverse.append(1 / temperature)
        falls.append(1 - loss(truth, after) / loss(truth, before))
    record_property("beta", [round(float(f(inverse)), 4) for f in (np.mean, min, max)])
    record_property("fall_of_log_loss", [round(float(f(falls)), 4) for f in (np.mean, min)])
    assert np.mean(inverse) == pytest.approx(0.40, abs=0.03)
    assert min(inverse) >= 0.31
    assert max(inverse) <= 0.51
    assert np.mean(falls) >= 0.20
    assert min(falls) > 0.1


class Saved(ClassifierMixin, BaseEstimator):
    """An estimator whose decision function is the logits it is given."""

    def __init__(self):
        self.classes_ = np.arange(3)

    def fit(self, *_):
        return self

    def predict(self, logits):
        return logits.argmax(axis=1)

    def decision_function(self, logits):
        return logits


def test_calibrated_probabilities_are_those_of_scikit_learn():
    logits, truth = planted(3)
    theirs = CalibratedClassifierCV(FrozenEstimator(Saved()), method="temperature").fit(logits, truth)
    ours = softmax(logits / fit_temperature(logits, truth))
    assert np.abs(theirs.predict_proba(logits) - ours).max() < 1e-4


def test_no_network_is_made_surer_than_training_left_it():
    validation = outputs(60, skill=40)  # without an error: any colder temperature would give a lower loss
    assert fit_temperature(validation.logits, validation.truth) == 1
    doubting, truth = planted(3, factor=0.5)
    assert fit_temperature(doubting, truth) == 1
