import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from cxr.evaluation.stats.temperature import fit_temperature
from cxr.network import softmax
from tests.evaluation.stats.cases import calibrated, outputs


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
