from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxr.dataset.audits.sources import ChangePoint
from cxr.evaluation.audits.subgroups import (
    CHILDREN_ADULTS,
    LEAVE_SOURCE_OUT,
    AgeGap,
    BlockRates,
    HeldOutSource,
    LeftOut,
    age_gap,
    gap,
    head_refitted,
    measure_subgroups,
    refitted,
)
from cxr.evaluation.audits.subject import AgeBlocks, find_age_blocks
from cxr.evaluation.stats.intervals import Interval, wilson
from tests.evaluation.audits.toys import CLASSES, outputs

CHANGE = ChangePoint(40, 0.005, 0.98, {"lower": 40, "upper": 40}, True)
KERMANY = "https://www.kaggle.com/paultimothymooney/chest-xray-pneumonia"
EACH = 80
TRUTH = np.repeat([0, 1, 2], EACH)
FILES = [f"{CLASSES[label]}/images/{CLASSES[label]}-{row % EACH + 1}.png" for row, label in enumerate(TRUTH)]


def released(children="lower", source=KERMANY):
    """Normal has files 1 to 40 of one look and 41 to 80 of another; viral pneumonia looks like one of them."""
    looks = np.random.default_rng(2).normal(size=(len(TRUTH), 22))
    upper = (TRUTH == 1) & (np.arange(len(TRUTH)) % EACH >= 40)
    looks[upper, 3] += 6
    looks[TRUTH == 2, 3] += 6 if children == "upper" else 0.5
    return outputs(TRUTH, files=FILES, source=np.where(TRUTH == 2, source, "other")), looks


@pytest.mark.parametrize(("children", "names"), [("lower", ("children", "adults")), ("upper", ("adults", "children"))])
def test_the_block_that_looks_like_the_paediatric_class_is_called_children(children, names):
    blocks = find_age_blocks(*released(children), CHANGE, seed=1)
    assert blocks.names == names
    assert sorted(blocks.areas)[1] > 0.95 > sorted(blocks.areas)[0]


def test_ages_are_unknown_where_viral_pneumonia_is_not_of_the_paediatric_collection():
    blocks = find_age_blocks(*released(source="https://example.org"), CHANGE, seed=1)
    assert blocks.names == ("lower", "upper")
    assert blocks.areas is None


def test_there_are_no_blocks_without_a_change_point():
    assert find_age_blocks(*released(), None, seed=1) is None
    assert find_age_blocks(*released(), replace(CHANGE, found=False), seed=1) is None
    assert find_age_blocks(*released(), replace(CHANGE, number=79), seed=1) is None  # one image above


def test_a_file_without_number_is_of_no_block():
    lower, upper = AgeBlocks(40, ("lower", "upper"), None).members(np.array(["a/x-40.png", "a/x-41.png", "a/x.png"]))
    assert lower.tolist() == [True, False, False]
    assert upper.tolist() == [False, True, False]


def answered():
    """Of normal, five of forty children and fifteen of forty adults wrong; of these, one adult called viral."""
    predicted = TRUTH.copy()
    predicted[EACH : EACH + 5] = 0
    predicted[EACH + 40 : EACH + 55] = 0
    predicted[EACH + 40] = 2
    return outputs(TRUTH, files=FILES), predicted


def test_the_gap_between_children_and_adults_equals_a_count_by_hand():
    found = age_gap(*answered(), AgeBlocks(40, ("children", "adults"), (0.9, 0.99)))
    assert [block.n for block in found.blocks] == [40, 40]
    assert [block.recall.value for block in found.blocks] == [0.875, 0.625]
    assert [block.specificity.value for block in found.blocks] == [1.0, 0.975]
    assert found.recall_gap.value == 0.25
    assert found.recall_gap.low > 0
    assert found.specificity_gap.low < 0 < found.specificity_gap.high


def test_the_interval_of_a_gap_is_that_of_newcombes_paper():
    # Newcombe 1998, table II, method 10: 56/70 - 48/80.
    found = gap(wilson(56, 70), wilson(48, 80))
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_a_block_without_test_images_has_no_gap():
    found = age_gap(*answered(), AgeBlocks(80, ("children", "adults"), None))
    assert found.blocks[1].n == 0
    assert found.recall_gap is None


def rows_of(**changed):
    test, predicted = answered()
    looks = np.zeros((len(TRUTH), 22))
    looks[:, 2] = np.arange(len(TRUTH))
    looks[:, 12] = changed.pop("sharpness", np.arange(len(TRUTH)))
    sides = changed.pop("sides", np.full(len(TRUTH), 224))
    blocks = AgeBlocks(40, ("adults", "children"), None)
    return measure_subgroups(test, predicted, looks, sides, blocks)


def test_subgroups_equal_a_count_by_hand():
    rows = {(row.group, row.value, row.label): row for row in rows_of()}
    assert rows["children_adults", "children", "normal"].sensitivity.value == 0.625
    assert rows["children_adults", "adults", "normal"].sensitivity.value == 0.875
    assert rows["children_adults", "both", "normal"].sensitivity.value == 0.75
    assert rows["source", "a", "normal"].n == EACH
    assert rows["size", "224 pixels", None].sensitivity.value == pytest.approx(220 / 240, abs=1e-6)
    # Brightness rises with the row: the middle third is class normal.
    assert rows["brightness", "middle third", None].sensitivity.value == 0.75
    assert rows["brightness", "lowest third", None].n == EACH


def test_many_sizes_become_thirds_and_equal_values_are_not_torn_apart():
    rows = rows_of(sides=100 + np.arange(len(TRUTH)) // 3, sharpness=np.zeros(len(TRUTH)))
    assert [row.value for row in rows if row.group == "size"] == ["lowest third", "middle third", "highest third"]
    assert [row.n for row in rows if row.group == "sharpness"] == [240]


def test_a_small_group_is_marked():
    test = outputs([0] * 29 + [1] * 30, source=["few"] * 29 + ["enough"] * 30)
    rows = measure_subgroups(test, test.truth, np.zeros((59, 22)), np.full(59, 224), None)
    small = {row.value: row.small for row in rows if row.group == "source"}
    assert small == {"few": True, "enough": False}


def sourced(shift):
    """Covid of sources a and b, of which b lies where normal does, by `shift`."""
    rng = np.random.default_rng(5)
    truth = np.repeat([0, 0, 1, 2], 60)
    source = np.repeat(["a", "b", "c", "d"], 60)
    features = rng.normal(scale=0.3, size=(240, 4)) + np.eye(4)[truth] * 3
    features[source == "b"] += shift
    split = np.tile(["train"] * 4 + ["test"], 48)
    return outputs(truth, split=split, source=source, features=features)


def test_a_source_that_looks_like_the_others_is_recalled_without_having_been_learned():
    found = head_refitted(sourced(np.zeros(4)), "covid")
    assert [row.source for row in found.rows] == ["a", "b"]
    assert [row.n for row in found.rows] == [60, 60]
    assert min(row.recall.value for row in found.rows) == 1
    assert {row.how for row in found.rows} == {"head refitted"}
    assert found.overall.value == 1


def test_a_source_that_looks_like_another_class_is_lost_when_it_is_held_out():
    found = head_refitted(sourced(np.array([-3.0, 3.0, 0.0, 3.0])), "covid")
    row = next(row for row in found.rows if row.source == "b")
    assert row.recall.value < 0.2
    assert row.recall_in_training.value > 0.9


def test_a_class_of_one_source_has_nothing_to_hold_out():
    assert head_refitted(sourced(np.zeros(4)), "normal").rows == ()


def test_recalls_of_refits_are_read_from_their_table():
    images = outputs([0, 0, 0, 0, 1], source=["a", "a", "b", "b", "b"], files=["1", "2", "3", "4", "5"])
    table = pd.DataFrame(
        [
            ("", "1", "covid", 0.9, 0.1, 0.0),
            ("", "3", "covid", 0.2, 0.8, 0.0),
            ("a", "1", "covid", 0.9, 0.1, 0.0),
            ("a", "2", "covid", 0.1, 0.9, 0.0),
            ("b", "3", "covid", 0.0, 0.1, 0.9),
            ("b", "4", "covid", 0.8, 0.1, 0.1),
            ("b", "5", "normal", 0.8, 0.1, 0.1),
        ],
        columns=["held_out", "file", "actual", *(f"probability_{name}" for name in CLASSES)],
    )
    found = refitted(table, images, "covid")
    assert [(row.source, row.n, row.recall.value) for row in found.rows] == [("a", 2, 0.5), ("b", 2, 0.5)]
    assert [row.recall_in_training.value for row in found.rows] == [1.0, 0.0]
    assert found.overall.value == 0.5
    assert {row.how for row in found.rows} == {"refitted"}
    assert all(row.small for row in found.rows)


def ages(recall_gap, n=40, areas=(0.95, 0.99)):
    share = Interval(0.9, 0.8, 0.95)
    lower, upper = (BlockRates(name, n, share, share) for name in ("children", "adults"))
    gaps = Interval(recall_gap, recall_gap - 0.1, recall_gap + 0.1), Interval(0.01, -0.1, 0.1)
    return AgeGap(1390, areas, (lower, upper), *gaps)


@pytest.mark.parametrize(
    ("gap", "result"),
    [
        (ages(0.06), "warn"),
        (ages(-0.06), "warn"),
        (ages(0.05), "pass"),
        (ages(0.3, n=29), "not_measurable"),
        (None, "not_applicable"),
    ],
)
def test_a_gap_between_children_and_adults_is_a_warning(gap, result):
    assert CHILDREN_ADULTS.judge(gap, "cnn1").result == result


def test_unknown_ages_are_said_to_be_unknown():
    assert "ages" in CHILDREN_ADULTS.judge(ages(0.06, areas=None), "cnn1").found
    assert "unknown" not in CHILDREN_ADULTS.judge(ages(0.06), "cnn1").found


def left_out(*recalls):
    sources = (
        HeldOutSource(f"s{row}", n, Interval(recall), Interval(0.95), "refitted", n < 30)
        for row, (recall, n) in enumerate(recalls)
    )
    return LeftOut(tuple(sources), Interval(0.95))


@pytest.mark.parametrize(
    ("found", "result"),
    [
        (left_out((0.84, 30), (0.95, 90)), "warn"),
        (left_out((0.86, 30), (0.95, 90)), "pass"),
        (left_out((0.10, 29), (0.95, 90)), "pass"),
        (left_out((0.10, 29)), "not_measurable"),
        (left_out(), "not_applicable"),
    ],
)
def test_the_worst_held_out_source_is_judged_and_small_ones_are_not(found, result):
    assert LEAVE_SOURCE_OUT.judge(found, "cnn1").result == result
