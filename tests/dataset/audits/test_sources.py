import numpy as np
import pytest

from cxr.core.manifest import file_numbers
from cxr.dataset.audits.change_points import find_change_points
from cxr.dataset.audits.sources import CLASS_BY_SOURCE_SAMPLE, class_by_source, metadata_consistency
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
