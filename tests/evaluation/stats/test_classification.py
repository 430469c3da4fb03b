import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cxr.evaluation.stats.classification import (
    class_rates,
    confusion,
    delong,
    delong_interval,
    delong_p,
    detectable_gap,
    holm,
    macro_auc,
    mcnemar_p,
    measure,
)
from cxr.evaluation.stats.intervals import Interval
from tests.evaluation.cases import CLASSES, PREDICTED, TRUTH, probabilities


def test_rates_equal_a_count_by_hand():
    rates = class_rates(confusion(TRUTH, PREDICTED, 3))
    assert rates["sensitivity"].tolist() == [3 / 4, 3 / 3, 2 / 3]
    assert rates["specificity"].tolist() == [6 / 6, 5 / 7, 7 / 7]


def test_metrics_equal_a_calculation_by_hand():
    values = measure(TRUTH, probabilities(0.8), CLASSES)
    assert values["accuracy"] == 0.8
    assert values["balanced_accuracy"] == round((3 / 4 + 1 + 2 / 3) / 3, 6)
    assert values["log_loss"] == round(-(8 * np.log(0.8) + 2 * np.log(0.1)) / 10, 6)
    f1 = [2 * 3 / (2 * 3 + 1), 2 * 3 / (2 * 3 + 2), 2 * 2 / (2 * 2 + 1)]
    assert values["macro_f1"] == round(sum(f1) / 3, 6)
    assert values["sensitivity"] == {"covid": 0.75, "normal": 1.0, "viral_pneumonia": 0.666667}


def test_auc_counts_ordered_pairs():
    def area(column):
        scores = probabilities(0.8)[:, column]
        positive, negative = scores[column == TRUTH], scores[column != TRUTH]
        return np.mean([(p > n) + 0.5 * (p == n) for p in positive for n in negative])

    assert macro_auc(TRUTH, probabilities(0.8)) == pytest.approx(np.mean([area(0), area(1), area(2)]), abs=1e-12)


def test_a_class_that_is_never_predicted_has_no_sensitivity_and_full_specificity():
    rates = class_rates(confusion(TRUTH, np.ones(10, np.int64), 3))
    assert rates["sensitivity"].tolist() == [0, 1, 0]
    assert rates["specificity"].tolist() == [1, 0, 1]


def test_delong_has_the_area_of_scikit_learn_with_and_without_ties():
    for seed in range(50):
        generator = np.random.default_rng(seed)
        positive = generator.random(200) < 0.3
        scores = (generator.normal(size=200) + positive).round(seed % 3)
        assert delong(positive, scores).value == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)


def test_delong_variance_equals_a_calculation_pair_by_pair():
    generator = np.random.default_rng(2)
    positive, scores = np.arange(40) < 15, generator.normal(size=40).round(1)
    above, below = scores[positive], scores[~positive]
    pairs = (above[:, None] > below) + 0.5 * (above[:, None] == below)
    variance = pairs.mean(axis=1).var(ddof=1) / 15 + pairs.mean(axis=0).var(ddof=1) / 25
    assert delong(positive, scores).variance == pytest.approx(variance, abs=1e-12)


def test_delong_interval_holds_the_true_area_and_p_is_small_as_often_as_it_says():
    true_area, held, false_alarms = 0.8556, 0, 0  # of two normal distributions 1.5 apart: norm.cdf(1.5 / sqrt(2))
    positive = np.arange(300) < 100
    for seed in range(400):
        generator = np.random.default_rng(seed)
        shared = generator.normal(size=300) / 2
        first, second = (1.5 * positive + shared + generator.normal(size=300) * 0.75**0.5 for _ in range(2))
        one, two = delong(positive, first), delong(positive, second)
        bounds = delong_interval(one)
        held += bounds.low <= true_area <= bounds.high
        false_alarms += delong_p(one, two) < 0.05
    assert 0.92 <= held / 400 <= 0.98
    assert 0.02 <= false_alarms / 400 <= 0.08


def test_delong_says_nothing_where_there_is_nothing_to_go_by():
    apart = np.array([False, False, True, True])
    assert delong_interval(delong(apart, np.arange(4.0))) == Interval(1.0)
    assert delong(np.zeros(4, bool), np.arange(4.0)) is None
    assert delong_interval(None).value is None
    assert delong_p(None, None) is None
    assert delong_p(delong(apart, np.arange(4.0)), delong(apart, np.arange(4.0))) == 1


def test_a_gap_of_nine_is_significant_among_17_discordant_images_and_not_among_19():
    assert mcnemar_p(13, 4) < 0.05
    assert mcnemar_p(14, 5) > 0.05
    assert mcnemar_p(0, 0) == 1


@pytest.mark.parametrize(("discordant", "gap"), [(20, 10), (30, 12), (40, 14), (50, 16), (17, 9), (5, None), (0, None)])
def test_the_smallest_gap_that_can_be_seen(discordant, gap):
    assert detectable_gap(discordant) == gap


def test_mcnemar_raises_a_false_alarm_at_most_as_often_as_it_says(record_property):
    generator = np.random.default_rng(4)
    discordant = generator.binomial(717, 0.05, size=1000)
    only_first = generator.binomial(discordant, 0.5)
    alarms = [mcnemar_p(*counts) < 0.05 for counts in np.column_stack([only_first, discordant - only_first])]
    record_property("type_1_error", float(np.mean(alarms)))
    assert 0.01 < np.mean(alarms) <= 0.05


def test_holm_equals_an_example_worked_by_hand():
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04, and never falling: 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, None, 0.6]) == [1.0, None, 1.0]
    assert holm([]) == []
