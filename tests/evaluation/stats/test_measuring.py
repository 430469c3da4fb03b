import dataclasses
import json
import time

import numpy as np
import pytest

from cxr.errors import DataError
from cxr.evaluation.metrics import measure
from cxr.evaluation.stats.comparing import compare_models
from cxr.evaluation.stats.measuring import measure_model
from tests.evaluation.stats.cases import CLASSES, decisions, outputs

VALIDATION = outputs(588, seed=1, split="validation")
DECISIONS = decisions(VALIDATION)


def test_figures_agree_with_the_plain_metrics():
    test = outputs(300, seed=2)
    found = measure_model(test, DECISIONS, 7)
    plain = measure(test.truth, DECISIONS.probabilities(test.logits), CLASSES)
    for name in ("accuracy", "balanced_accuracy", "macro_auc", "log_loss"):
        assert found["metrics"][name]["value"] == pytest.approx(plain[name], abs=1e-6)
        assert found["metrics"][name]["low"] < plain[name] < found["metrics"][name]["high"]
    assert found["metrics"]["macro_f1"] == plain["macro_f1"]
    for one in found["classes"]:
        assert one["sensitivity"]["value"] == plain["sensitivity"][one["name"]]
        assert one["specificity"]["value"] == plain["specificity"][one["name"]]
    assert np.sum(found["confusion"]) == found["n"] == 300


def test_a_report_of_735_images_takes_seconds_and_is_the_same_twice():
    test = outputs(735, seed=2, group=np.arange(735) // 2)
    start = time.perf_counter()
    first = measure_model(test, DECISIONS, 7, VALIDATION)
    assert time.perf_counter() - start < 10
    assert json.dumps(first, allow_nan=False) == json.dumps(measure_model(test, DECISIONS, 7, VALIDATION))
    assert first["metrics"]["log_loss"] != measure_model(test, DECISIONS, 8)["metrics"]["log_loss"]


def test_curves_are_few_enough_points_to_draw_and_keep_their_ends():
    found = measure_model(outputs(900, seed=4, skill=1.0), DECISIONS, 7)
    for curve in found["roc"]:
        assert len(curve["fpr"]) == len(curve["tpr"]) <= 200
        assert (curve["fpr"][0], curve["tpr"][0], curve["fpr"][-1], curve["tpr"][-1]) == (0, 0, 1, 1)
    for curve in found["pr"]:
        assert len(curve["recall"]) == len(curve["precision"]) <= 200
    assert sum(sum(one["counts"]) for one in found["distributions"]) == 900 * 3
    assert all(len(one["edges"]) == 21 for one in found["distributions"])


@pytest.mark.parametrize(
    ("truth", "skill"),
    [
        (np.arange(35) % 2, 3.0),
        (np.zeros(12, int), 3.0),
        (np.repeat(np.arange(3), 10), 50.0),
        (np.array([1]), 3.0),
        (np.repeat(np.arange(3), 2), -30.0),
    ],
    ids=["a class without images", "one class", "all right", "one image", "all wrong"],
)
def test_what_small_sets_cannot_say_is_null(truth, skill):
    test = outputs(truth=truth, skill=skill)
    found = measure_model(test, DECISIONS, 7, VALIDATION)
    json.dumps(found, allow_nan=False)
    assert found["metrics"]["accuracy"]["value"] is not None
    for number, one in enumerate(found["classes"]):
        assert (one["sensitivity"]["value"] is None) == (number not in truth)
    missing = len(set(truth.tolist())) < 3
    assert (found["metrics"]["macro_auc"]["value"] is None) == missing
    if skill == 50:
        assert found["metrics"]["balanced_accuracy"] == {"value": 1.0, "low": None, "high": None}
        assert found["conformal"]["referred"]["share_of_errors_referred"] is None
        assert all(one["auc"] == {"value": 1.0, "low": None, "high": None} for one in found["classes"])


def test_groups_widen_the_interval():
    test = outputs(300, seed=6, skill=2.0, truth=np.repeat(np.arange(3), 100))
    copied = dataclasses.replace(test, logits=test.logits[np.arange(300) // 10 * 10], group=np.arange(300) // 10)
    apart = dataclasses.replace(copied, group=np.arange(300))
    grouped, single = (measure_model(one, DECISIONS, 7)["metrics"]["balanced_accuracy"] for one in (copied, apart))
    assert grouped["high"] - grouped["low"] > 2 * (single["high"] - single["low"])


def test_a_better_network_is_told_from_a_worse_one_and_a_twin_is_not():
    good, bad = outputs(600, seed=2, skill=4.0, name="good"), outputs(600, seed=3, skill=1.0, name="bad")
    twin = dataclasses.replace(good, name="twin")
    tests = [good, bad, twin]
    pairs = compare_models(tests, [DECISIONS.probabilities(one.logits) for one in tests], 7)
    assert [(one["a"], one["b"]) for one in pairs] == [("good", "bad"), ("good", "twin"), ("bad", "twin")]
    better, same, _ = pairs
    assert better["accuracy_gap"]["low"] > 0
    assert better["auc_gap"]["low"] > 0
    assert better["log_loss_gap"]["high"] < 0
    assert better["p"] <= better["p_holm"] < 0.001
    assert better["auc_p_holm"] < 0.001
    net = better["only_a_right"] - better["only_b_right"]
    assert better["accuracy_gap"]["value"] == pytest.approx(net / 600, abs=1e-6)
    assert 0 < better["detectable_gap_images"] < net
    assert better["detectable_gap_points"] == pytest.approx(better["detectable_gap_images"] / 6, abs=1e-6)
    assert same["accuracy_gap"] == {"value": 0.0, "low": None, "high": None}
    assert (same["p"], same["auc_p"], same["detectable_gap_images"]) == (1, 1, None)
    json.dumps(pairs, allow_nan=False)


def test_networks_of_different_images_are_not_compared():
    first, second = outputs(30), outputs(30, truth=np.arange(30)[::-1] % 3)
    with pytest.raises(DataError, match="did not answer the same images"):
        compare_models([first, second], [DECISIONS.probabilities(one.logits) for one in (first, second)], 7)
    assert compare_models([first], [DECISIONS.probabilities(first.logits)], 7) == []
