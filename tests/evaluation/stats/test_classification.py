import numpy as np
import pytest

from cxr.evaluation.stats.classification import class_rates, confusion, macro_auc, measure
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
