import numpy as np
import pytest

from cxr.evaluation.stats import intervals
from cxr.evaluation.stats.classification import macro_auc as macro_auc_of_one
from cxr.evaluation.stats.intervals import (
    Interval,
    draw_weights,
    interval,
    percentile,
    rounded,
    weighted_balanced_accuracy,
    weighted_macro_auc,
    weighted_mean,
    wilson,
)
from tests.evaluation.stats.cases import calibrated


def test_wilson_interval_of_675_of_717_is_the_published_one():
    share = wilson(675, 717)
    assert share.value == 0.941423
    assert share.low == pytest.approx(0.9218, abs=1e-4)
    assert share.high == pytest.approx(0.9564, abs=1e-4)


def test_what_is_undefined_is_null():
    assert wilson(0, 0) == Interval(None, None, None)
    assert rounded(float("nan")) is None
    assert rounded(float("inf")) is None
    assert percentile(1.0, np.ones(100)) == interval(1.0, None, None)


def test_a_group_is_drawn_whole_and_classes_keep_their_number_of_groups():
    truth = np.array([0, 0, 0, 0, 1, 1, 1])
    group = np.array([5, 5, 8, 9, 2, 2, 3])
    weights = draw_weights(truth, group, seed=3, draws=500)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 4] == weights[:, 5]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert (weights[:, [4, 6]].sum(axis=1) == 2).all()
    assert weights.mean() == pytest.approx(1, abs=0.05)
    assert len(np.unique(weights, axis=0)) > 20


def test_weighted_figures_equal_figures_of_the_repeated_images():
    answers = calibrated(60, seed=5)
    weights = draw_weights(answers.truth, np.arange(60), seed=1, draws=20)
    for row, area, recall, loss in zip(
        weights.astype(int),
        weighted_macro_auc(answers.truth, answers.probabilities, weights),
        weighted_balanced_accuracy(answers.truth, answers.right, weights),
        weighted_mean(answers.losses, weights),
        strict=True,
    ):
        rows = np.repeat(np.arange(60), row)
        truth, right = answers.truth[rows], answers.right[rows]
        assert area == pytest.approx(macro_auc_of_one(truth, answers.probabilities[rows]), abs=1e-12)
        assert recall == pytest.approx(np.mean([right[truth == number].mean() for number in range(3)]), abs=1e-12)
        assert loss == pytest.approx(answers.losses[rows].mean(), abs=1e-12)


def test_draws_of_many_images_come_in_blocks_of_bounded_memory(monkeypatch):
    answers, shapes = calibrated(50, seed=2), []

    def figures(weights):
        shapes.append(weights.shape)
        return {"balanced_accuracy": weighted_balanced_accuracy(answers.truth, answers.right, weights)}

    value, whole = intervals.resample(figures, answers.truth, answers.group, 3)["balanced_accuracy"]
    assert (value, len(whole)) == (weighted_balanced_accuracy(answers.truth, answers.right, np.ones((1, 50)))[0], 2000)
    assert (whole == figures(draw_weights(answers.truth, answers.group, 3))["balanced_accuracy"]).all()
    shapes.clear()
    monkeypatch.setattr(intervals, "CELLS", 50 * 300)
    blocks = intervals.resample(figures, answers.truth, answers.group, 3)["balanced_accuracy"][1]
    assert shapes == [(300, 50)] * 6 + [(200, 50), (1, 50)]
    assert blocks.std() == pytest.approx(whole.std(), rel=0.1)


def test_the_weighted_area_counts_ties_half():
    truth, scores = np.array([0, 0, 1, 1]), np.array([0.5, 0.2, 0.5, 0.1])
    both = np.column_stack([scores, 1 - scores])
    assert weighted_macro_auc(truth, both, np.ones((1, 4)))[0] == macro_auc_of_one(truth, both) == 0.625


def test_bootstrap_intervals_of_grouped_images_hold_what_they_promise(record_property):
    generator = np.random.default_rng(11)
    truth, group = np.repeat(np.arange(3), 240), np.repeat(np.arange(360), 2)
    held = 0
    for seed in range(500):
        # Both images of a pair are right together in eight of ten pairs: images alone would claim too much.
        right, own = generator.random(360) < 0.95, generator.random(720) < 0.95
        right = np.where(np.repeat(generator.random(360) < 0.8, 2), np.repeat(right, 2), own)
        draws = weighted_balanced_accuracy(truth, right, draw_weights(truth, group, seed, draws=600))
        bounds = percentile(right.mean(), draws)
        held += bounds.low <= 0.95 <= bounds.high
    record_property("coverage", held / 500)
    assert 0.92 <= held / 500 <= 0.97
