"""The gate on the split table: limits before the network, reasons before flags."""

import numpy as np
import pytest

from cxr.errors import ModelError
from cxr.evaluation.applying import apply_decisions
from cxr.evaluation.gating import FLAGS, judge_images, unjudged
from cxr.gate import Sign, load_gate
from tests.evaluation.cases import candidate, judged, planes, split_table
from tests.evaluation.toy_gates import THRESHOLDS, toy_gate

SIDE = 16
# What is bright is foreign to the toy gate: from 0.7 unusual, from 0.75 no radiograph.
MEANS = (100, 183, 200, 20, 240, 100)


@pytest.fixture
def gate(tmp_path):
    return load_gate(toy_gate(tmp_path / "gate", SIDE))


@pytest.fixture
def table():
    """Give six rows in another order than the array: the first is too long, the second too small."""
    rows = split_table(5).head(6)
    sides = [299, 50, 299, 299, 299, 299]
    return rows.assign(index=[5, 0, 1, 2, 3, 4], width=sides, height=[599, *sides[1:]])


@pytest.fixture
def images():
    grain = np.random.default_rng(3).integers(-9, 10, (6, SIDE, SIDE))
    return (np.array(MEANS)[:, None, None] + grain).astype(np.uint8)


def flags(row):
    return [str(flag) for flag, is_seen in zip(FLAGS, row, strict=True) if is_seen]


def test_limits_come_first_then_no_radiograph_then_marks(gate, table, images):
    found = judge_images(gate, table, images)
    assert found.reasons.tolist() == ["extreme_aspect", "too_small", "", "not_a_radiograph", "", "not_a_radiograph"]
    assert [flags(row) for row in found.flags] == [
        [], [], ["out_of_distribution"], [], ["underexposed"], ["overexposed"],
    ]  # fmt: skip
    assert found.unusual.tolist() == [False, False, True, False, False, False]


def test_colour_and_a_blank_plane_are_reasons(gate, table, images):
    images[0] = 100
    table = table.assign(width=299, height=299, colour=[0.5, 0, 0, 0, 0, 0])
    assert judge_images(gate, table, images).reasons.tolist()[:2] == ["colour_photo", "blank"]


def test_blocks_change_nothing(gate, table, images, monkeypatch):
    whole = judge_images(gate, table, images)
    monkeypatch.setattr("cxr.evaluation.gating.BLOCK", 2)
    parts = judge_images(gate, table, images)
    assert parts.reasons.tolist() == whole.reasons.tolist()
    assert np.array_equal(parts.flags, whole.flags)


def test_a_gate_for_other_planes_is_refused(gate, table):
    with pytest.raises(ModelError, match="takes planes of 16 pixels, work/prepared has 20; run: dvc repro"):
        judge_images(gate, table, planes(table, 20))


def test_a_threshold_itself_is_enough(tmp_path, table, images):
    exact = float(load_gate(toy_gate(tmp_path / "a", SIDE)).scores(images[1:2])[0, -1])
    same = load_gate(toy_gate(tmp_path / "b", SIDE, THRESHOLDS | {Sign.OUT_OF_DISTRIBUTION: exact}))
    above = np.nextafter(exact, 2)
    more = load_gate(toy_gate(tmp_path / "c", SIDE, THRESHOLDS | {Sign.OUT_OF_DISTRIBUTION: float(above)}))
    assert [judge_images(one, table, images).unusual[2] for one in (same, more)] == [True, False]


def test_decisions_heed_the_gate_and_rejected_images_have_none():
    one = candidate()
    said = judged({0: "blank"}, {1: ("out_of_distribution",), 2: ("inverted",)}, one).where(one.outputs.split == "test")
    plain = apply_decisions(one.test, one.decisions, unjudged(len(one.test)))
    found = apply_decisions(one.test, one.decisions, said)
    assert found[0] is None
    assert (found[1].word, found[1].reason, found[1].classes) == ("refer", "out_of_distribution", plain[1].classes)
    assert found[2:] == plain[2:]
