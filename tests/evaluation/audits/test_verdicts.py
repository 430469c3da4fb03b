import numpy as np
import pytest

from cxr.evaluation.audits.attention import ATTENTION, Attention, Enrichment
from cxr.evaluation.audits.perturbations import (
    LUNG_DEPENDENCE,
    ROBUSTNESS,
    TEXTURE,
    LungDependence,
    Perturbed,
    Shuffled,
    Texture,
)
from cxr.evaluation.audits.shortcuts import (
    APPEARANCE_FLOOR,
    FRAME_PROBE,
    MASK_SHAPE,
    SOURCE_ORACLE,
    BorderBaseline,
    GainOverBaseline,
    JudgedGain,
    MaskShape,
    SourceAgainstNetwork,
)
from cxr.evaluation.stats.intervals import Interval, Score


def gain(value, low):
    above = Interval(value, low, value + 0.03)
    return GainOverBaseline(Interval(0.85, 0.82, 0.88), Interval(0.8), above, above)


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
    record = APPEARANCE_FLOOR.judge(JudgedGain(gain(value, low), images, screening), "cnn1")
    assert (record.result, record.fixable, record.model) == (result, True, "cnn1")


def test_the_sentence_of_the_floor_has_the_figures():
    found = APPEARANCE_FLOOR.judge(JudgedGain(gain(0.1, 0.07), 245, True), "cnn1").found
    assert "10.0 points [7.0, 13.0]" in found
    assert "85.0 % [82.0, 88.0]" in found


@pytest.mark.parametrize(
    ("oracle", "result"), [(0.93, "warn"), (0.99, "warn"), (0.92, "pass"), (None, "not_applicable")]
)
def test_an_oracle_within_two_points_is_a_warning_and_never_a_stop(oracle, result):
    record = SOURCE_ORACLE.judge(SourceAgainstNetwork(oracle, 0.945), "cnn1")
    assert (record.result, record.fixable) == (result, False)
    assert ("cannot show that disease is detected" in record.found) == (result == "warn")


@pytest.mark.parametrize(("value", "result"), [(0.44, "warn"), (0.43, "pass")])
def test_a_frame_that_tells_classes_apart_is_a_warning(value, result):
    assert FRAME_PROBE.judge(BorderBaseline(Interval(value), 0.333333)).result == result


def test_mask_shapes_are_judged_like_the_frame_where_there_are_masks():
    draws = np.array([0.4, 0.6])
    assert MASK_SHAPE.judge(MaskShape(None, 1 / 3)).result == "not_applicable"
    assert MASK_SHAPE.judge(MaskShape(Score(0.5, draws), 1 / 3)).result == "warn"
    assert MASK_SHAPE.judge(MaskShape(Score(0.4, draws), 1 / 3)).result == "pass"


@pytest.mark.parametrize(("share", "result"), [(0.49, "warn"), (0.5, "pass"), (None, "not_measurable")])
def test_a_network_that_does_not_need_the_lungs_is_a_warning(share, result):
    record = LUNG_DEPENDENCE.judge(LungDependence("box", *4 * [Interval(0.9)], share), "cnn1")
    assert record.result == result


@pytest.mark.parametrize(
    ("how", "words"),
    [("box", "a fixed box"), ("masks", "boxes around the lung masks"), ("predicted", "lungs that the segmenter finds")],
)
def test_the_dependence_says_whose_lungs_these_are(how, words):
    assert words in LUNG_DEPENDENCE.judge(LungDependence(how, *4 * [Interval(0.9)], 0.5), "cnn1").found


@pytest.mark.parametrize("predicted", [False, True])
def test_shape_and_attention_say_whose_lungs_these_are(predicted):
    inside = (Enrichment("a", 9, 1.5),)
    shape = MASK_SHAPE.judge(MaskShape(Score(0.4, np.array([0.4])), 1 / 3, predicted))
    maps = ATTENTION.judge(Attention(0.3, False, (8, 8), inside, predicted), "cnn1")
    assert [("the segmenter finds" in record.found) for record in (shape, maps)] == [predicted, predicted]


def rows(**changes):
    return tuple(Perturbed(name, name, 0.9, change, abs(change)) for name, change in changes.items())


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({"blur": -0.051}, "warn"),
        ({"blur": -0.05}, "pass"),
        ({"blur": 0.0, "inverted": -0.6, "mirrored": -0.2}, "pass"),
    ],
)
def test_a_fall_under_a_benign_change_is_a_warning_and_inversion_is_none(changes, result):
    record = ROBUSTNESS.judge(rows(**changes), "cnn1")
    assert record.result == result
    assert "blur" in record.found


@pytest.mark.parametrize(("value", "result"), [(0.49, "warn"), (0.48, "pass")])
def test_only_the_finest_shuffle_is_judged(value, result):
    shuffled = (Shuffled(2, 0.9), Shuffled(8, value))
    assert TEXTURE.judge(Texture(shuffled, 1 / 3), "cnn1").result == result


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
    inside = medians and tuple(
        Enrichment(name, 0 if median is None else 9, median) for name, median in zip("abc", medians, strict=True)
    )
    cam = Attention(None if void is None else 0.3, void, (8, 8), inside)
    assert ATTENTION.judge(cam, "cnn1").result == result
