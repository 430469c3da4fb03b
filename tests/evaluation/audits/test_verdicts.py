import numpy as np
import pytest

from cxr.evaluation.audits.saliency import judge_attention, judge_dependence, judge_robustness, judge_texture
from cxr.evaluation.audits.shortcuts import judge_border_baseline, judge_gain, judge_mask_shape, judge_source_baseline
from cxr.evaluation.stats.intervals import Score


def interval(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def lift(value, low):
    above = interval(value, low, value + 0.03)
    return {"floor": interval(0.85, 0.82, 0.88), "frame": interval(0.8), "over_floor": above, "over_frame": above}


@pytest.mark.parametrize(
    ("value", "low", "images", "screening", "result"),
    [
        (0.10, 0.07, 245, True, "pass"),
        (0.04, 0.01, 245, True, "warn"),
        (0.04, 0.0, 245, True, "fail"),
        (0.04, -0.01, 245, True, "fail"),
        (0.04, -0.01, 245, False, "warn"),
        (-0.10, -0.2, 245, True, "fail"),
        (0.0, None, 245, True, "fail"),
        (0.10, None, 245, True, "pass"),
        (0.04, -0.01, 99, True, "not_measurable"),
        (0.04, -0.01, 100, True, "fail"),
    ],
)
def test_no_lift_over_the_floor_fails_for_the_screening_network_alone(value, low, images, screening, result):
    record = judge_gain("cnn1", lift(value, low), images, screening)
    assert (record["result"], record["fixable"], record["model"]) == (result, True, "cnn1")


def test_the_sentence_of_the_floor_has_the_figures():
    found = judge_gain("cnn1", lift(0.1, 0.07), 245, True)["found"]
    assert "10.0 points [7.0, 13.0]" in found
    assert "85.0 % [82.0, 88.0]" in found


@pytest.mark.parametrize(
    ("oracle", "result"), [(0.93, "warn"), (0.99, "warn"), (0.92, "pass"), (None, "not_applicable")]
)
def test_an_oracle_within_two_points_is_a_warning_and_never_a_stop(oracle, result):
    record = judge_source_baseline("cnn1", 0.945, oracle)
    assert (record["result"], record["fixable"]) == (result, False)
    assert ("cannot show that disease is detected" in record["found"]) == (result == "warn")


@pytest.mark.parametrize(("value", "result"), [(0.44, "warn"), (0.43, "pass")])
def test_a_frame_that_tells_classes_apart_is_a_warning(value, result):
    assert judge_border_baseline({"frame": interval(value), "chance": 0.333333})["result"] == result


def test_mask_shapes_are_judged_like_the_frame_where_there_are_masks():
    draws = np.array([0.4, 0.6])
    assert judge_mask_shape(None, 1 / 3)["result"] == "not_applicable"
    assert judge_mask_shape(Score(0.5, draws), 1 / 3)["result"] == "warn"
    assert judge_mask_shape(Score(0.4, draws), 1 / 3)["result"] == "pass"


@pytest.mark.parametrize(("share", "result"), [(0.49, "warn"), (0.5, "pass"), (None, "not_measurable")])
def test_a_network_that_does_not_need_the_lungs_is_a_warning(share, result):
    values = dict.fromkeys(("full", "lungs_blacked", "border_only", "lungs_only"), interval(0.9))
    record = judge_dependence("cnn1", {"regions": "box", **values, "lung_dependence": share})
    assert record["result"] == result


def rows(**changes):
    return [
        {"perturbation": name, "text": name, "balanced_accuracy": 0.9, "change": change, "flips": abs(change)}
        for name, change in changes.items()
    ]


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({"blur": -0.051}, "warn"),
        ({"blur": -0.05}, "pass"),
        ({"blur": 0.0, "inverted": -0.6, "mirrored": -0.2}, "pass"),
    ],
)
def test_a_fall_under_a_benign_change_is_a_warning_and_inversion_is_none(changes, result):
    record = judge_robustness("cnn1", rows(**changes))
    assert record["result"] == result
    assert "blur" in record["found"]


@pytest.mark.parametrize(("value", "result"), [(0.49, "warn"), (0.48, "pass")])
def test_only_the_finest_shuffle_is_judged(value, result):
    shuffled = [{"grid": 2, "balanced_accuracy": 0.9}, {"grid": 8, "balanced_accuracy": value}]
    assert judge_texture("cnn1", shuffled, 1 / 3)["result"] == result


@pytest.mark.parametrize(
    ("void", "medians", "result"),
    [
        (False, None, "pass"),
        (True, None, "warn"),
        (None, None, "not_measurable"),
        (False, [1.4, 1.0, None], "pass"),
        (False, [1.4, 0.9, None], "warn"),
    ],
)
def test_void_maps_and_attention_outside_the_lungs_are_warnings(void, medians, result):
    inside = medians and [
        {"class": name, "n": 0 if median is None else 9, "enrichment_median": median}
        for name, median in zip("abc", medians, strict=True)
    ]
    cam = {"similarity_randomised": None if void is None else 0.3, "void": void, "cells": [8, 8], "inside": inside}
    assert judge_attention("cnn1", cam)["result"] == result
