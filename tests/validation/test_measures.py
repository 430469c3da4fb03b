import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from cxr.evaluation.stats.classification import decision_curve
from cxr.evaluation.stats.intervals import UNDEFINED, wilson
from cxr.validation.measures import (
    OTHER,
    REST,
    Cases,
    by_key,
    measure,
    predictive_values,
    recalibration,
    weighted_average_precision,
)
from cxr.validation.results import NO_ANSWER
from tests.validation.tables import CLASSES

RNG = np.random.default_rng(7)


def cases(truth, predicted, decisions=None, probabilities=None, target="covid"):
    truth, predicted = np.array(truth), np.array(predicted)
    if probabilities is None:
        probabilities = np.where(np.eye(3)[predicted] > 0, 0.8, 0.1)
        probabilities[predicted == NO_ANSWER] = 0
    n = len(truth)
    words = np.array(decisions if decisions is not None else [""] * n)
    return Cases(
        CLASSES, target, truth, predicted, probabilities, words, np.arange(n), np.zeros(n, bool), np.ones(n, bool)
    )


def values(found, prevalences=()):
    return by_key(measure(found, prevalences, 1))


def test_labels_of_no_class_are_negative_for_the_target_and_not_among_the_classes():
    found = values(cases([0, 0, 1, 1, OTHER, OTHER], [0, 1, 1, 1, 0, 1]))
    assert found[("sensitivity_most_probable_class", "covid", None)].value == wilson(1, 2)
    assert found[("specificity_most_probable_class", "covid", None)].value == wilson(3, 4)
    assert found[("ppv_most_probable_class", "covid", None)].value == wilson(1, 2)
    assert found[("specificity_among_classes", "covid", None)].value == wilson(2, 2)
    assert found[("accuracy", "", None)].n == 4
    assert found[("files_of", REST, None)].value.value == 4


def test_with_one_known_class_only_the_target_is_measured():
    found = values(cases([0, 0, OTHER, OTHER], [0, 1, 0, 1]))
    assert ("sensitivity_most_probable_class", "covid", None) in found
    assert ("accuracy", "", None) not in found


def test_each_way_to_read_decisions_has_its_own_figures():
    words = ["covid_suspected", "refer", "not_suspected", "", "covid_suspected", "refer", "not_suspected", ""]
    found = values(cases([0] * 4 + [1] * 4, [0, 0, 1, NO_ANSWER, 0, 0, 1, NO_ANSWER], words))
    rates = {
        reading: tuple(
            (found[(f"{rate}_{reading}", "covid", None)].value.value, found[(f"{rate}_{reading}", "covid", None)].n)
            for rate in ("sensitivity", "specificity")
        )
        for reading in ("decision", "referred_counts_as_positive", "no_decision_counts_as_wrong")
    }
    assert rates == {
        "decision": ((0.5, 2), (0.5, 2)),
        "referred_counts_as_positive": ((pytest.approx(2 / 3, abs=1e-6), 3), (pytest.approx(1 / 3, abs=1e-6), 3)),
        "no_decision_counts_as_wrong": ((0.25, 4), (0.25, 4)),
    }
    assert found[("without_decision", "covid", None)].value == wilson(2, 4)


def test_without_decisions_what_has_no_answer_counts_as_wrong():
    found = values(cases([0, 0, 1, 1], [0, NO_ANSWER, 1, NO_ANSWER]))
    assert found[("sensitivity_no_answer_counts_as_wrong", "covid", None)].value == wilson(1, 2)
    assert found[("specificity_no_answer_counts_as_wrong", "covid", None)].value == wilson(1, 2)


def test_decisions_about_another_class_are_not_read():
    found = values(cases([0, 1], [0, 1], ["normal_suspected", "not_suspected"]))
    assert not any(metric.startswith("sensitivity_decision") for metric, _, _ in found)


def test_predictive_values_follow_bayes_and_hold_their_value():
    sensitivity, specificity = wilson(80, 100), wilson(180, 200)
    ppv, npv = predictive_values(sensitivity, specificity, 0.02)
    assert ppv.value == pytest.approx(0.8 * 0.02 / (0.8 * 0.02 + 0.1 * 0.98), abs=1e-6)
    assert npv.value == pytest.approx(0.9 * 0.98 / (0.9 * 0.98 + 0.2 * 0.02), abs=1e-6)
    for one in (ppv, npv):
        assert one.low < one.value < one.high
    own, _ = predictive_values(sensitivity, specificity, 1 / 3)
    assert own.value == pytest.approx(80 / 100, abs=1e-6)


def test_predictive_values_without_an_error_have_one_open_side():
    ppv, npv = predictive_values(wilson(50, 50), wilson(50, 50), 0.1)
    assert (ppv.value, ppv.high) == (npv.value, npv.high) == (1, 1)
    assert 0 < ppv.low < 1
    assert 0.9 < npv.low < 1
    assert predictive_values(UNDEFINED, wilson(1, 2), 0.1) == (UNDEFINED, UNDEFINED)
    ppv, _ = predictive_values(wilson(0, 50), wilson(40, 50), 0.1)
    assert (ppv.value, ppv.low) == (0, 0)
    assert ppv.high > 0


def test_intervals_of_predictive_values_cover_as_often_as_they_say():
    rng = np.random.default_rng(3)
    share, n, (sensitivity, specificity) = 0.05, 60, (0.9, 0.95)
    truth = sensitivity * share / (sensitivity * share + (1 - specificity) * (1 - share))
    draws = [
        predictive_values(wilson(rng.binomial(n, sensitivity), n), wilson(rng.binomial(n, specificity), n), share)[0]
        for _ in range(600)
    ]
    assert 0.92 < np.mean([one.low <= truth <= one.high for one in draws]) < 0.985


def test_average_precision_is_that_of_scikit_learn_with_ties_and_weights():
    scores = RNG.random(80).round(1)
    positive = RNG.random(80) < scores
    weights = RNG.integers(0, 3, (3, 80)).astype(float)
    expected = [average_precision_score(positive, scores, sample_weight=one) for one in weights]
    assert weighted_average_precision(positive, scores, weights) == pytest.approx(expected)


def test_true_probabilities_have_slope_one_and_intercept_nought():
    probability = RNG.random(4000)
    positive = RNG.random(4000) < probability
    intercept, slope = recalibration(positive, probability, np.arange(4000))
    assert intercept.low < 0 < intercept.high
    assert slope.low < 1 < slope.high


def test_the_slope_is_that_of_a_logistic_regression():
    probability = RNG.random(300)
    positive = RNG.random(300) < expit(0.5 * logit(probability) - 1)
    _, slope = recalibration(positive, probability, np.arange(300))
    fitted = LogisticRegression(C=1e12, tol=1e-10).fit(logit(probability)[:, None], positive)
    assert slope.value == pytest.approx(fitted.coef_[0, 0], abs=1e-4)


def test_five_files_of_a_patient_make_the_interval_no_narrower_than_one():
    probability = RNG.random(200)
    positive = RNG.random(200) < probability
    alone = recalibration(positive, probability, np.arange(200))[1]
    five = (np.repeat(one, 5) for one in (positive, probability, np.arange(200)))
    together = recalibration(*five)[1]
    assert together.value == pytest.approx(alone.value, abs=1e-6)
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high), abs=1e-6)


def test_separate_classes_have_no_slope():
    intercept, slope = recalibration(np.array([False, False, True, True]), np.array([0.1, 0.2, 0.8, 0.9]), np.arange(4))
    assert slope == UNDEFINED
    assert intercept.value is not None
    assert recalibration(np.zeros(3, bool), np.full(3, 0.5), np.arange(3)) == (UNDEFINED, UNDEFINED)


def test_net_benefit_is_that_of_the_decision_curve():
    probabilities = RNG.dirichlet([1, 1, 1], 60)
    truth = RNG.integers(0, 3, 60)
    found = values(cases(truth, probabilities.argmax(axis=1), probabilities=probabilities))
    curve = {one.threshold: one for one in decision_curve(truth == 0, probabilities[:, 0])}
    for at in (0.05, 0.3):
        assert found[("net_benefit", "covid", at)].value.value == pytest.approx(curve[at].model, abs=1e-6)
        assert found[("net_benefit_of_all", "covid", at)].value.value == pytest.approx(curve[at].all, abs=1e-6)


def test_accuracy_stands_beside_that_of_the_most_frequent_class():
    found = values(cases([1, 1, 1, 0], [0, 0, 1, 0]))
    assert found[("accuracy_of_most_frequent", "normal", None)].value == wilson(3, 4)
    assert found[("accuracy_above_most_frequent", "normal", None)].value.value == -0.25
