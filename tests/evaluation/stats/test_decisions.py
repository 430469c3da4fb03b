"""What becomes of images: counted by hand on ten."""

import dataclasses

import numpy as np
import pytest
from crepes import ConformalClassifier

from cxr.core.errors import DataError
from cxr.evaluation.assess import assess_model
from cxr.evaluation.stats.classification import Predictions, decision_curve, net_benefit
from cxr.evaluation.stats.decisions import (
    ChosenPoint,
    RiskAtCoverage,
    augrc,
    by_prevalence,
    choose_points,
    cumulative_errors,
    fit_decisions,
    outcomes,
    reasoned_outcomes,
    referral,
    selective_risk,
    smallest_members,
)
from cxr.inference.decisions import NOT_SUSPECTED, REFER, Decision, ReferReason
from cxr.inference.gate import FLAGS, Judged
from tests.evaluation.cases import CLASSES, TRUTH, probabilities
from tests.evaluation.stats.cases import CLASSES as CASE_CLASSES
from tests.evaluation.stats.cases import calibrated, decisions, outputs

SUSPECTED = Decision(("covid",), "covid_suspected")
NOT = Decision(("normal",), NOT_SUSPECTED)
OUT = Decision(("covid",), REFER, ReferReason.OUT_OF_DISTRIBUTION)
APART = Decision(("normal",), REFER, ReferReason.DISAGREEMENT)
# Wrong are the images 3 (covid) and 9 (viral), both called normal. Image 3 is answered, 9 referred, 0 and 5 rejected.
DECIDED = [None, SUSPECTED, SUSPECTED, NOT, OUT, None, NOT, APART, NOT, APART]


@pytest.fixture
def test():
    return Predictions(CLASSES, TRUTH, probabilities(), np.arange(10))


@pytest.fixture
def judged():
    reasons = np.full(10, "", "<U20")
    reasons[[0, 5]] = ["blank", "not_a_radiograph"]
    flags = np.zeros((10, len(FLAGS)), bool)
    flags[4, FLAGS.index("out_of_distribution")] = True
    flags[[4, 6], FLAGS.index("cropped")] = True
    return Judged(reasons, flags)


def values(shares):
    return {name: share.value for name, share in shares.items() if share.value}


def test_shares_and_errors_are_those_that_are_counted_by_hand(test):
    found = outcomes(test, "covid", DECIDED)
    assert [share.value for share in (found.rejected, found.referred, found.answered)] == [0.2, 0.3, 0.5]
    assert (found.errors, found.errors_rejected, found.errors_referred) == (2, 0, 1)
    assert (found.share_of_errors_referred.value, found.share_of_errors_rejected.value) == (0.5, 0.0)
    assert found.error_answered.value == 0.2  # image 3 of 1, 2, 3, 6 and 8
    assert found.missed.value == 0.25  # the same one, of four with covid


def test_every_share_has_its_wilson_interval(test):
    found = outcomes(test, "covid", DECIDED).answered
    assert (found.low, found.high) == pytest.approx((0.236593, 0.763407), abs=1e-6)


def test_reasons_and_flags_are_shares_of_all_images(test, judged):
    found = reasoned_outcomes(test, "covid", DECIDED, judged)
    assert values(found.rejected_by) == {"blank": 0.1, "not_a_radiograph": 0.1}
    assert values(found.referred_by) == {"out_of_distribution": 0.1, "disagreement": 0.2}
    assert values(found.flags) == {"cropped": 0.2, "out_of_distribution": 0.1}
    assert list(found.referred_by) == [*ReferReason]


def test_where_nothing_is_answered_or_wrong_the_shares_are_null(test):
    assert outcomes(test, "covid", [None] * 10).error_answered is None
    sure = Predictions(CLASSES, TRUTH, np.eye(3)[TRUTH], np.arange(10))
    found = outcomes(sure, "covid", DECIDED)
    assert (found.errors, found.share_of_errors_referred) == (0, None)


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
    assert found.share.value == 0.4
    assert (found.errors, found.errors_referred) == (2, 1)
    assert found.share_of_errors_referred.value == 0.5
    assert found.error_answered.value == pytest.approx(1 / 3, abs=1e-6)
    assert referral(np.zeros(3, bool), np.ones(3, bool)).share_of_errors_referred is None
    assert referral(np.zeros(3, bool), np.ones(3, bool)).error_answered is None


def rates(positive, probability, threshold):
    return float((probability[positive] >= threshold).mean()), float((probability[~positive] < threshold).mean())


@pytest.mark.parametrize("apart", [0.0, 0.1, 0.25, 0.4, 0.6])  # from hopeless to separable
@pytest.mark.parametrize("seed", range(8))
def test_a_point_keeps_the_aim_of_its_name_and_gives_nothing_away_that_costs_nothing(seed, apart):
    generator = np.random.default_rng(seed)
    positive = np.arange(137 + seed) < 43
    probability = (0.4 * generator.random(len(positive)) + apart * positive).round(2 if seed % 2 else 9)
    points = choose_points(positive, probability, "covid")
    sensitive = rates(positive, probability, points["covid_sens95"].threshold)
    specific = rates(positive, probability, points["covid_spec95"].threshold)
    assert sensitive[0] >= 0.95
    assert specific[1] >= 0.95
    assert sensitive[0] >= specific[0]
    assert sensitive[1] <= specific[1]
    thresholds = [*np.unique(probability), np.nextafter(probability.max(), 1)]
    possible = {rates(positive, probability, threshold) for threshold in thresholds}
    for chosen in (sensitive, specific):  # none is as good in one and better in the other
        assert not [other for other in possible if other != chosen and other[0] >= chosen[0] and other[1] >= chosen[1]]
    if any(min(pair) >= 0.95 for pair in possible):
        assert min(*sensitive, *specific) >= 0.95
    else:
        assert specific[0] < 0.95
        assert sensitive[1] < 0.95


def test_where_both_aims_can_be_met_the_point_named_for_sensitivity_misses_fewer():
    cases, others = np.linspace(0.2, 0.9, 100), np.linspace(0.0, 0.205, 100)
    points = choose_points(np.arange(200) < 100, np.append(cases, others), "covid")
    sensitive, specific = points["covid_sens95"], points["covid_spec95"]
    assert (sensitive.sensitivity, specific.specificity) == (1.0, 1.0)
    assert (sensitive.specificity, specific.sensitivity) == (0.97, 0.99)
    assert sensitive.threshold < specific.threshold


def test_where_classes_are_apart_the_threshold_lies_halfway_between_them():
    points = choose_points(np.array([True, True, False, False]), np.array([0.9, 0.7, 0.3, 0.1]), "covid")
    assert {point.threshold for point in points.values()} == {0.5}
    neighbours = np.array([np.nextafter(0.5, 1), 0.5])
    both = choose_points(np.array([True, False]), neighbours, "covid").values()
    assert {(point.threshold, point.sensitivity, point.specificity) for point in both} == {(neighbours[0], 1.0, 1.0)}


def test_sensitivity_of_exactly_19_in_20_is_enough():
    probability = np.append(np.linspace(0.1, 0.9, 20), np.linspace(0.11, 0.12, 20))
    points = choose_points(np.arange(40) < 20, probability, "covid")
    assert points["covid_sens95"] == ChosenPoint(
        threshold=(probability[1] + 0.12) / 2,
        aim="sensitivity at least 0.95 on validation",
        sensitivity=0.95,
        specificity=1.0,
    )


def test_where_others_have_the_largest_probability_nothing_is_suspected():
    points = choose_points(np.array([True, False]), np.array([0.3, 0.6]), "covid")
    assert points["covid_spec95"].threshold > 0.6
    assert points["covid_spec95"].sensitivity == 0


def test_a_point_is_reported_with_what_it_reached_where_it_was_chosen_and_says_where():
    validation, test = outputs(360, seed=1, split="validation"), outputs(300, seed=2)
    fitted = fit_decisions(validation, "covid", 0.05, "validation and films of other hospitals").operating_points
    assert fitted["covid_sens95"].aim == "sensitivity at least 0.95 on validation and films of other hospitals"
    for point in assess_model(test, decisions(validation), 1).operating_points:
        chosen = fitted[point.name]
        assert (point.chosen_sensitivity, point.chosen_specificity) == (chosen.sensitivity, chosen.specificity)
        assert chosen.sensitivity is not None


def test_permuted_test_labels_leave_all_that_is_frozen_as_it_is():
    validation, test = outputs(360, seed=1, split="validation"), outputs(300, seed=2)
    permuted = dataclasses.replace(test, truth=np.random.default_rng(0).permutation(test.truth))
    # A new fit beside another test split, as evaluate does it.
    results = [assess_model(one, decisions(validation), 1) for one in (test, permuted)]
    frozen = ("name", "threshold", "aim", "chosen_sensitivity", "chosen_specificity")
    first, second = ([[getattr(point, key) for key in frozen] for point in one.operating_points] for one in results)
    assert first == second
    assert results[0].calibration.temperature == results[1].calibration.temperature
    assert results[0].operating_points[0].sensitivity != results[1].operating_points[0].sensitivity


def test_predictive_values_by_prevalence():
    found = {one.prevalence: one for one in by_prevalence(0.95, 0.97)}
    for prevalence, ppv in ((0.10, 0.779), (0.02, 0.393), (0.01, 0.242)):
        assert found[prevalence].ppv == pytest.approx(ppv, abs=1e-3)
    assert found[0.02].npv == pytest.approx(0.97 * 0.98 / (0.97 * 0.98 + 0.05 * 0.02), abs=1e-6)
    assert by_prevalence(0.0, 1.0)[0].ppv is None
    assert by_prevalence(None, 1.0)[0].npv is None


def test_net_benefit_equals_a_calculation_by_hand():
    positive = np.array([True, True, False, False, False])
    probability = np.array([0.9, 0.2, 0.6, 0.1, 0.05])
    curve = decision_curve(positive, probability)
    by_threshold = {point.threshold: point for point in curve}
    # Found less alarms, of five: 2 - 2/9; 1 - 1; 1 - 0.
    for threshold, by_hand in ((0.1, (2 - 2 / 9) / 5), (0.5, 0.0), (0.75, 0.2)):
        assert net_benefit(positive, probability >= threshold, threshold) == pytest.approx(by_hand, abs=1e-9)
        assert by_threshold[threshold].model == round(by_hand, 6)
    assert by_threshold[0.5].all == pytest.approx(2 / 5 - 3 / 5, abs=1e-9)
    assert {point.none for point in curve} == {0.0}
    assert len(curve) == 99


def test_an_operating_point_needs_images_of_both_kinds():
    with pytest.raises(DataError, match="0 of 4 images of the class covid"):
        fit_decisions(outputs(truth=np.array([1, 2, 1, 2])), "covid", 0.05)


def test_fitted_numbers_are_not_rounded():
    fitted = fit_decisions(outputs(200, seed=9), "normal", 0.05)
    assert fitted.default_operating_point == "normal_sens95"
    threshold = fitted.operating_points["normal_sens95"].threshold
    assert threshold != round(threshold, 10)


def test_random_confidence_gives_half_the_error_as_area(record_property):
    generator = np.random.default_rng(3)
    wrong = generator.random(20_000) < 0.1
    area = augrc(generator.random(20_000), wrong)
    record_property("augrc_by_half_error", float(area / (wrong.mean() / 2)))
    assert area == pytest.approx(wrong.mean() / 2, rel=0.05)


def test_areas_equal_a_calculation_by_hand():
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    wrong = np.array([False, False, True, True])
    assert augrc(confidence, wrong) == pytest.approx((0 + 0 + 1 + 2) / 4 / 4)
    answers = Predictions(
        CASE_CLASSES, np.where(wrong, 1, 0), np.column_stack([confidence, 1 - confidence, 0 * confidence]), wrong
    )
    assert selective_risk(answers).aurc == pytest.approx((0 + 0 + 1 / 3 + 2 / 4) / 4, abs=1e-6)


def test_equal_confidences_share_their_errors_whatever_their_order():
    confidence = np.array([0.9, 0.5, 0.5, 0.5, 0.5])
    for errors in ([0, 1, 0, 0, 0], [0, 0, 0, 0, 1]):
        assert cumulative_errors(confidence, np.array(errors, bool)).tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_the_curve_ends_at_the_error_of_all_images():
    answers = calibrated(717, 4)
    section = selective_risk(answers)
    assert len(section.curve) == 100
    assert section.curve[-1] == RiskAtCoverage(1.0, round(1 - answers.right.mean(), 6))
    assert [one.coverage for one in section.at] == [1.0, 0.95, 0.9, 0.8]
    at = section.at[2]
    accepted = answers.confidence >= at.threshold - 1e-6
    assert at.risk == pytest.approx(1 - answers.right[accepted].mean(), abs=1e-6)
    assert accepted.sum() == np.ceil(0.9 * 717)
    assert section.at[3].risk < section.at[0].risk
