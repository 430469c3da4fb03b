import numpy as np
import pandas as pd
import pytest

from cxr.core.manifest import file_numbers
from cxr.dataset.audits.sources import (
    CLASS_BY_SOURCE_SAMPLE,
    ChangePoint,
    block_of,
    class_by_source,
    find_change_points,
    metadata_consistency,
    strongest_cut,
    whitened,
)
from tests.dataset.audits.tables import numbered
from tests.tables import manifest


def with_sources(counts, sources):
    return manifest(counts).assign(source=sources)


def test_classes_of_different_sources_warn_and_the_oracle_is_right():
    table = with_sources({"covid": 50, "normal": 50, "viral": 50}, ["a"] * 50 + ["b"] * 90 + ["a"] * 10)
    record = class_by_source(table)
    assert record.result == "warn"
    assert not record.fixable
    # a: 50 covid of 60; b: 50 normal of 90
    assert record.values["oracle_accuracy"] == pytest.approx(100 / 150, abs=1e-6)
    assert record.values["sources"][0] == {"label": "covid", "source": "a", "images": 50}


def test_cramers_v_equals_a_calculation_by_hand():
    table = with_sources({"covid": 40, "normal": 60}, ["a"] * 30 + ["b"] * 30 + ["a"] * 40)
    observed = np.array([[30.0, 40.0], [10.0, 20.0]])
    expected = observed.sum(1, keepdims=True) * observed.sum(0) / 100
    v = np.sqrt((((observed - expected) ** 2) / expected).sum() / 100)
    assert class_by_source(table).values["cramers_v"] == pytest.approx(v, abs=1e-6)


def test_independent_sources_pass_with_a_small_v():
    rng = np.random.default_rng(0)
    table = with_sources({"covid": 400, "normal": 400, "viral": 400}, rng.choice(["a", "b", "c"], 1200))
    record = class_by_source(table)
    assert record.result == "pass"
    assert record.values["cramers_v"] < 0.1


def test_a_source_that_is_unknown_for_one_class_alone_counts_as_one():
    table = with_sources({"covid": 50, "normal": 50}, [""] * 50 + ["b"] * 50)
    assert class_by_source(table).values["cramers_v"] == 1.0


def test_without_any_source_nothing_can_be_measured():
    assert class_by_source(manifest({"covid": 5, "normal": 5})).result == "not_measurable"


def test_one_source_for_all_is_independent_of_class():
    record = class_by_source(with_sources({"covid": 50, "normal": 50}, "a"))
    assert (record.result, record.values["cramers_v"]) == ("pass", 0.0)


def test_the_sample_has_an_id_of_its_own():
    assert class_by_source(manifest({"a": 5, "b": 5}), CLASS_BY_SOURCE_SAMPLE).id == "class_by_source_sample"


COUNT, SWITCH, CLAIMED = 400, 120, 330


def audited(source_of, true_switch=SWITCH, second=None):
    """Return the record for 400 files that change their look at `true_switch`, with sources by file number."""
    table = numbered(COUNT)
    numbers = file_numbers(table["file"])
    table["source"] = [source_of(number) for number in numbers]
    features = np.random.default_rng(1).normal(size=(COUNT, 6))
    features[:, :2] += 3.0 * (numbers > true_switch)[:, None]
    if second is not None:
        features[:, 3:5] += 3.0 * (numbers > second)[:, None]
    rows = np.arange(COUNT)
    return metadata_consistency(table, features, rows, find_change_points(table, features, rows, 7), 7)


def test_sources_stated_in_the_wrong_order_are_contradicted():
    record = audited(lambda number: "b" if number > CLAIMED else "a")
    assert record.result == "warn"
    assert not record.fixable
    (found,) = record.values["classes"]
    assert found["claimed_auc"] < 0.6 < 0.9 < found["scan_auc"]
    assert found["block"] == "upper"
    assert abs(found["number"] - SWITCH) <= 30
    assert "the files up to number" in record.found


def test_swapped_sources_of_single_files_are_contradicted():
    coin = np.random.default_rng(2).integers(0, 2, COUNT + 1)
    assert audited(lambda number: "ab"[coin[number]]).result == "warn"


def test_sources_that_agree_with_the_pixels_pass():
    record = audited(lambda number: "b" if number > SWITCH else "a")
    assert record.result == "pass"
    assert record.values["classes"][0]["claimed_auc"] > 0.9


def test_a_true_source_beside_an_unstated_change_is_no_contradiction():
    record = audited(lambda number: "b" if number > CLAIMED else "a", second=CLAIMED)
    assert record.result == "pass"


def test_one_source_a_class_cannot_be_compared():
    assert audited(lambda _: "a").result == "not_applicable"
    assert audited(lambda _: "").result == "not_applicable"


def test_without_a_change_equal_sources_are_no_contradiction():
    record = audited(lambda number: "b" if number > CLAIMED else "a", true_switch=COUNT)
    assert record.result == "pass"
    assert not record.values["classes"][0]["change_found"]


def planted(count, at, rng, step=2.0):
    """Return a shuffled class whose look changes after file number `at` in three of eight correlated numbers."""
    table = numbered(count)
    mixing = rng.normal(size=(8, 8))
    features = rng.standard_t(4, (count, 8)) @ mixing
    features[:, :3] += step * features[:, :3].std(axis=0) * (file_numbers(table["file"]) > at)[:, None]
    return table, features


@pytest.mark.parametrize(("count", "at"), [(300, 150), (400, 90), (600, 480)])
def test_a_planted_block_switch_is_located_within_thirty_files(count, at):
    table, features = planted(count, at, np.random.default_rng(at))
    change = find_change_points(table, features, np.arange(count), seed=7)["normal"]
    assert change.found
    assert change.auc > 0.9
    assert abs(change.number - at) <= 30
    assert change.blocks == {"lower": change.number, "upper": count - change.number}


def false_alarms(shuffles):
    rng = np.random.default_rng(5)
    table, features = planted(200, 100, rng)
    shuffled = (rng.permutation(features) for _ in range(shuffles))
    changes = [find_change_points(table, rows, np.arange(200), seed)["normal"] for seed, rows in enumerate(shuffled)]
    return sum(change.found for change in changes), sum(change.p < 0.01 for change in changes)


def test_shuffled_files_hardly_ever_give_an_alarm():
    found, significant = false_alarms(15)
    assert found <= significant <= 1


@pytest.mark.long
def test_shuffled_files_give_no_alarm_in_95_of_100_shuffles():
    found, significant = false_alarms(100)
    assert found <= significant <= 5


def test_blocks_follow_the_numbers_and_only_a_change_that_was_found():
    table = pd.DataFrame({"file": ["a/x-3.png", "a/x-4.png", "a/none.png", "b/y-1.png"], "label": [*"aaab"]})
    changes = {"a": ChangePoint(3, 0.005, 0.95, {}, True), "b": ChangePoint(9, 0.5, 0.6, {}, False)}
    assert block_of(table, changes).tolist() == ["lower", "upper", "", ""]


def test_small_classes_and_files_without_numbers_are_left_aside():
    table = numbered(80)
    features = np.random.default_rng(0).normal(size=(80, 4))
    assert find_change_points(table.head(50), features[:50], np.arange(50), 7) == {}
    nameless = table.assign(file=[f"normal/images/{'abcdefgh'[i % 8]}.png" for i in range(80)])
    assert find_change_points(nameless, features, np.arange(80), 7) == {}


def test_the_last_number_of_a_name_counts():
    assert file_numbers(pd.Series(["2/images/scan2-017.png", "a/x.png"])).tolist() == [17, -1]


def test_the_strongest_cut_equals_a_search_through_all_cuts():
    from sklearn.covariance import LedoitWolf

    rng = np.random.default_rng(1)
    rows = rng.uniform(-1, 1, (90, 3)) + np.where(np.arange(90) < 33, 0, 0.8)[:, None]
    low, middle, high = np.percentile(rows, [25, 50, 75], axis=0)
    scaled = (rows - middle) / ((high - low) / 1.349)
    inverse = np.linalg.inv(LedoitWolf().fit(scaled).covariance_)
    t2 = {
        cut: (gap := scaled[:cut].mean(0) - scaled[cut:].mean(0)) @ inverse @ gap * cut * (90 - cut) / 90
        for cut in range(20, 71)
    }
    cut, value = strongest_cut(whitened(rows))
    assert cut == max(t2, key=t2.__getitem__)
    assert value == pytest.approx(max(t2.values()))


def test_constant_numbers_change_nothing():
    table, features = planted(300, 150, np.random.default_rng(150))
    wide = np.hstack([features, np.full((300, 1), 255.0)])
    rows = np.arange(300)
    assert find_change_points(table, wide, rows, 7) == find_change_points(table, features, rows, 7)
