import numpy as np
import pytest

from cxr.evaluation.audits.age_blocks import AgeBlocks, find_age_blocks
from cxr.evaluation.audits.age_gap import age_gap, gap
from cxr.evaluation.audits.subgroups import subgroups
from cxr.evaluation.stats.intervals import wilson
from tests.evaluation.audits.toys import CLASSES, outputs

CHANGE = {"number": 40, "p": 0.005, "auc": 0.98, "found": True}
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
    assert find_age_blocks(*released(), CHANGE | {"found": False}, seed=1) is None
    assert find_age_blocks(*released(), CHANGE | {"number": 79}, seed=1) is None  # one image above


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
    assert [block["n"] for block in found["blocks"]] == [40, 40]
    assert [block["recall"]["value"] for block in found["blocks"]] == [0.875, 0.625]
    assert [block["specificity"]["value"] for block in found["blocks"]] == [1.0, 0.975]
    assert found["recall_gap"]["value"] == 0.25
    assert found["recall_gap"]["low"] > 0
    assert found["specificity_gap"]["low"] < 0 < found["specificity_gap"]["high"]


def test_the_interval_of_a_gap_is_that_of_newcombes_paper():
    # Newcombe 1998, table II, method 10: 56/70 - 48/80.
    found = gap(wilson(56, 70), wilson(48, 80))
    assert found["value"] == pytest.approx(0.2)
    assert (found["low"], found["high"]) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_a_block_without_test_images_has_no_gap():
    found = age_gap(*answered(), AgeBlocks(80, ("children", "adults"), None))
    assert found["blocks"][1]["n"] == 0
    assert found["recall_gap"] is None


def rows_of(**changed):
    test, predicted = answered()
    looks = np.zeros((len(TRUTH), 22))
    looks[:, 2] = np.arange(len(TRUTH))
    looks[:, 12] = changed.pop("sharpness", np.arange(len(TRUTH)))
    sides = changed.pop("sides", np.full(len(TRUTH), 224))
    blocks = AgeBlocks(40, ("adults", "children"), None)
    return subgroups(test, predicted, looks, sides, blocks)


def test_subgroups_equal_a_count_by_hand():
    rows = {(row["group"], row["value"], row["label"]): row for row in rows_of()}
    assert rows["children_adults", "children", "normal"]["sensitivity"]["value"] == 0.625
    assert rows["children_adults", "adults", "normal"]["sensitivity"]["value"] == 0.875
    assert rows["children_adults", "both", "normal"]["sensitivity"]["value"] == 0.75
    assert rows["source", "a", "normal"]["n"] == EACH
    assert rows["size", "224 pixels", None]["sensitivity"]["value"] == pytest.approx(220 / 240, abs=1e-6)
    # Brightness rises with the row: the middle third is class normal.
    assert rows["brightness", "middle third", None]["sensitivity"]["value"] == 0.75
    assert rows["brightness", "lowest third", None]["n"] == EACH


def test_many_sizes_become_thirds_and_equal_values_are_not_torn_apart():
    rows = rows_of(sides=100 + np.arange(len(TRUTH)) // 3, sharpness=np.zeros(len(TRUTH)))
    assert [row["value"] for row in rows if row["group"] == "size"] == ["lowest third", "middle third", "highest third"]
    assert [row["n"] for row in rows if row["group"] == "sharpness"] == [240]


def test_a_small_group_is_marked():
    test = outputs([0] * 29 + [1] * 30, source=["few"] * 29 + ["enough"] * 30)
    rows = subgroups(test, test.truth, np.zeros((59, 22)), np.full(59, 224), None)
    small = {row["value"]: row["small"] for row in rows if row["group"] == "source"}
    assert small == {"few": True, "enough": False}
