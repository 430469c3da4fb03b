import dataclasses

import numpy as np
import pytest

from cxr.errors import DataError
from cxr.evaluation.stats.curves import decision_curve, net_benefit
from cxr.evaluation.stats.fitting import fit_decisions
from cxr.evaluation.stats.measuring import measure_model
from cxr.evaluation.stats.operating_points import by_prevalence, choose_points
from tests.evaluation.stats.cases import decisions, outputs


@pytest.mark.parametrize("seed", range(20))
def test_thresholds_are_the_most_extreme_that_keep_their_promise_on_validation(seed):
    generator = np.random.default_rng(seed)
    positive = np.arange(137 + seed) < 43
    probability = (0.5 * generator.random(len(positive)) + 0.4 * positive).round(2 if seed % 2 else 9)
    points = choose_points(positive, probability, "covid")
    sensitive, specific = points["covid_sens95"]["threshold"], points["covid_spec95"]["threshold"]
    assert (probability[positive] >= sensitive).mean() >= 0.95
    assert (probability[positive] >= probability[probability > sensitive].min()).mean() < 0.95
    assert (probability[~positive] < specific).mean() >= 0.95
    assert (probability[~positive] < probability[probability < specific].max()).mean() < 0.95


def test_sensitivity_of_exactly_19_in_20_is_enough():
    probability = np.append(np.linspace(0.1, 0.9, 20), 0.05)
    points = choose_points(np.arange(21) < 20, probability, "covid")
    assert points["covid_sens95"] == {
        "threshold": probability[1],
        "aim": "sensitivity at least 0.95 on validation",
        "sensitivity": 0.95,
        "specificity": 1.0,
    }


def test_where_others_have_the_largest_probability_nothing_is_suspected():
    points = choose_points(np.array([True, False]), np.array([0.3, 0.6]), "covid")
    assert points["covid_spec95"]["threshold"] > 0.6
    assert points["covid_spec95"]["sensitivity"] == 0


def test_permuted_test_labels_leave_all_that_is_frozen_as_it_is():
    validation, test = outputs(360, seed=1, split="validation"), outputs(300, seed=2)
    permuted = dataclasses.replace(test, truth=np.random.default_rng(0).permutation(test.truth))
    # A new fit beside another test split, as evaluate does it.
    results = [measure_model(one, decisions(validation), 1, validation) for one in (test, permuted)]
    frozen = ("name", "threshold", "aim", "validation_sensitivity", "validation_specificity")
    first, second = ([[point[key] for key in frozen] for point in one["operating_points"]] for one in results)
    assert first == second
    assert results[0]["calibration"]["temperature"] == results[1]["calibration"]["temperature"]
    assert results[0]["operating_points"][0]["sensitivity"] != results[1]["operating_points"][0]["sensitivity"]


def test_predictive_values_by_prevalence():
    found = {one["prevalence"]: one for one in by_prevalence(0.95, 0.97)}
    for prevalence, ppv in ((0.10, 0.779), (0.02, 0.393), (0.01, 0.242)):
        assert found[prevalence]["ppv"] == pytest.approx(ppv, abs=1e-3)
    assert found[0.02]["npv"] == pytest.approx(0.97 * 0.98 / (0.97 * 0.98 + 0.05 * 0.02), abs=1e-6)
    assert by_prevalence(0.0, 1.0)[0]["ppv"] is None
    assert by_prevalence(None, 1.0)[0]["npv"] is None


def test_net_benefit_equals_a_calculation_by_hand():
    positive = np.array([True, True, False, False, False])
    probability = np.array([0.9, 0.2, 0.6, 0.1, 0.05])
    curve = decision_curve(positive, probability)
    by_threshold = {point["threshold"]: point for point in curve}
    # Found less alarms, of five: 2 - 2/9; 1 - 1; 1 - 0.
    for threshold, by_hand in ((0.1, (2 - 2 / 9) / 5), (0.5, 0.0), (0.75, 0.2)):
        assert net_benefit(positive, probability >= threshold, threshold) == pytest.approx(by_hand, abs=1e-9)
        assert by_threshold[threshold]["model"] == round(by_hand, 6)
    assert by_threshold[0.5]["all"] == pytest.approx(2 / 5 - 3 / 5, abs=1e-9)
    assert {point["none"] for point in curve} == {0.0}
    assert len(curve) == 99


def test_an_operating_point_needs_images_of_both_kinds():
    with pytest.raises(DataError, match="0 of 4 images of the class covid"):
        fit_decisions(outputs(truth=np.array([1, 2, 1, 2])), "covid", 0.05)


def test_fitted_numbers_are_not_rounded():
    fitted = fit_decisions(outputs(200, seed=9), "normal", 0.05)
    assert fitted["default_operating_point"] == "normal_sens95"
    threshold = fitted["operating_points"]["normal_sens95"]["threshold"]
    assert threshold != round(threshold, 10)
