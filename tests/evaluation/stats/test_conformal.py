import numpy as np
import pytest
from crepes import ConformalClassifier

from cxr.evaluation.stats.conformal import referral, smallest_members
from tests.evaluation.stats.cases import calibrated


@pytest.mark.parametrize(("alpha", "n"), [(0.05, 360), (0.1, 200), (0.2, 100), (0.05, 50)])
def test_prediction_sets_are_those_of_crepes(alpha, n):
    validation, test = calibrated(n, 1), calibrated(200, 2)
    minima = smallest_members(validation.truth, validation.probabilities, alpha)
    sets = test.probabilities >= minima
    for number in range(3):
        own = validation.probabilities[validation.truth == number, number]
        # crepes has classes with p = alpha in its sets, the theory (p > alpha) has not.
        classifier = ConformalClassifier().fit(1 - own)
        theirs = classifier.predict_set(
            1 - test.probabilities[:, [number]], confidence=1 - alpha - 1e-9, smoothing=False
        )
        assert (sets[:, number] == theirs[:, 0].astype(bool)).all()


def test_each_class_is_covered_as_promised(record_property):
    coverage = []
    for seed in range(100):
        generator = np.random.default_rng(seed)
        truth = np.repeat(np.arange(3), 320)
        # The third class is hard: marginal sets would cover it less.
        logits = generator.normal(size=(960, 3)) + np.array([4.0, 3.0, 1.0])[truth][:, None] * np.eye(3)[truth]
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        validation = np.tile(np.arange(320) < 120, 3)
        minima = smallest_members(truth[validation], probabilities[validation], 0.05)
        covered = (probabilities >= minima)[np.arange(960), truth]
        coverage.append([covered[~validation & (truth == number)].mean() for number in range(3)])
    record_property("coverage_by_class", np.mean(coverage, axis=0).round(4).tolist())
    assert (np.mean(coverage, axis=0) >= 0.93).all()
    assert (np.mean(coverage, axis=0) <= 0.97).all()


def test_the_minimum_is_the_probability_of_the_stated_rank():
    probability = np.linspace(0.3, 0.9, 39)
    both = np.column_stack([probability, 1 - probability])
    truth = np.zeros(39, int)
    # floor(0.05 * 40) = 2; the other class has no images and is always in the set.
    assert smallest_members(truth, both, 0.05) == [probability[1], 0.0]
    assert smallest_members(truth[:18], both[:18], 0.05) == [0.0, 0.0]


def test_referral_counts_the_errors_it_catches():
    wrong = np.array([True, True, False, False, False])
    found = referral(wrong, np.array([True, False, True, False, False]))
    assert found["share"]["value"] == 0.4
    assert (found["errors"], found["errors_referred"]) == (2, 1)
    assert found["share_of_errors_referred"]["value"] == 0.5
    assert found["error_answered"]["value"] == pytest.approx(1 / 3, abs=1e-6)
    assert referral(np.zeros(3, bool), np.ones(3, bool))["share_of_errors_referred"] is None
    assert referral(np.zeros(3, bool), np.ones(3, bool))["error_answered"] is None
