import numpy as np
import pytest

from cxr.dataset.appearance import appearance_features, border_features
from cxr.evaluation.audits.shortcuts import gain_over_baseline
from cxr.evaluation.audits.subject import ShortcutBaseline, describe_baseline, fit_shortcut_baseline, majority_by_source
from cxr.evaluation.stats.intervals import Interval, balanced_accuracy, draw_weights
from tests.evaluation.audits.toys import outputs

EACH = 100
TRUTH = np.tile(np.repeat([0, 1, 2], EACH), 2)
SPLIT = np.repeat(["train", "test"], 3 * EACH)
TEST = np.repeat([0, 1, 2], EACH)
SIDE = 64


def fitted(marked):
    planes = np.random.default_rng(4).integers(0, 256, (len(TRUTH), SIDE, SIDE), dtype=np.uint8)
    if marked:
        planes[TRUTH == 1, 2:12, 2:12] = 255
    return fit_shortcut_baseline(
        outputs(TRUTH, split=SPLIT), appearance_features(planes), border_features(planes), seed=3
    )


def test_the_frame_probe_finds_a_marker_in_a_corner():
    floor = fitted(marked=True)
    assert np.mean(floor.border[TEST == 1] == 1) >= 0.95
    assert balanced_accuracy(TEST, floor.border) >= 0.60


def test_the_probes_find_nothing_in_noise():
    floor = fitted(marked=False)
    assert balanced_accuracy(TEST, floor.border) <= 0.40
    assert balanced_accuracy(TEST, floor.appearance) <= 0.42


def test_the_probes_answer_the_same_with_the_same_seed():
    first, second = fitted(marked=True), fitted(marked=True)
    assert np.array_equal(first.appearance, second.appearance)
    assert np.array_equal(first.border, second.border)


def test_the_oracle_answers_with_the_commonest_training_class_of_the_source():
    source = np.array(["a", "a", "a", "b", "b", "c", "a", "b", "new"])
    truth = np.array([2, 2, 0, 1, 1, 1, 0, 2, 0])
    train = np.arange(9) < 6
    assert majority_by_source(source, truth, train).tolist() == [2, 1, 1]


def test_the_oracle_of_one_source_a_class_is_always_right_and_unknown_sources_have_none():
    planes = np.zeros((len(TRUTH), 16, 16), np.uint8)
    looks, borders = appearance_features(planes), border_features(planes)
    known = fit_shortcut_baseline(outputs(TRUTH, split=SPLIT, source=TRUTH.astype(str)), looks, borders, seed=1)
    assert np.array_equal(known.source, TEST)
    assert (
        fit_shortcut_baseline(outputs(TRUTH, split=SPLIT, source=[""] * len(TRUTH)), looks, borders, seed=1).source
        is None
    )


def floor_right_for(share):
    """Probes that are right for this share of each class."""
    said = np.where(np.tile(np.arange(EACH) < share * EACH, 3), TEST, (TEST + 1) % 3)
    return ShortcutBaseline(TEST, appearance=said, border=(TEST + 1) % 3, source=None)


def test_the_lift_is_the_paired_difference():
    floor = floor_right_for(0.8)
    said = np.where(np.tile(np.arange(EACH) < 90, 3), TEST, (TEST + 1) % 3)
    found = gain_over_baseline(said, floor, draw_weights(TEST, np.arange(300), 1))
    assert found.over_appearance.value == pytest.approx(0.1)
    assert found.over_border.value == pytest.approx(0.9)
    # Thirty of three hundred are right for the network alone: paired, the deviation is sqrt(.1 * .9 / 100 / 3).
    half = (found.over_appearance.high - found.over_appearance.low) / 2
    assert half == pytest.approx(1.96 * np.sqrt(0.09 / 300), rel=0.1)


def test_images_of_one_group_widen_the_interval():
    floor = floor_right_for(0.8)
    groups = np.repeat(np.arange(30), 10)
    widths = []
    for group in (np.arange(300), groups):
        found = gain_over_baseline(TEST, floor, draw_weights(TEST, group, 1)).over_appearance
        widths.append(found.high - found.low)
    assert widths[1] > 2 * widths[0]


def test_the_shared_figures_are_those_of_the_probes():
    figures = describe_baseline(floor_right_for(0.75), draw_weights(TEST, np.arange(300), 1, draws=200))
    assert figures.appearance.value == pytest.approx(0.75)
    assert figures.appearance.low < 0.75 < figures.appearance.high
    assert figures.border == Interval(0.0)
    assert figures.source is None
    assert figures.chance == pytest.approx(1 / 3, abs=1e-6)
