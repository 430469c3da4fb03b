import numpy as np
import pytest

from cxr.dataset.audits.sources import class_by_source
from tests.tables import manifest


def with_sources(counts, sources):
    return manifest(counts).assign(source=sources)


def test_classes_of_different_sources_warn_and_the_oracle_is_right():
    table = with_sources({"covid": 50, "normal": 50, "viral": 50}, ["a"] * 50 + ["b"] * 90 + ["a"] * 10)
    record = class_by_source(table)
    assert record["result"] == "warn"
    assert not record["fixable"]
    # a: 50 covid of 60; b: 50 normal of 90
    assert record["values"]["oracle_accuracy"] == pytest.approx(100 / 150, abs=1e-6)
    assert record["values"]["sources"][0] == {"label": "covid", "source": "a", "images": 50}


def test_cramers_v_equals_a_calculation_by_hand():
    table = with_sources({"covid": 40, "normal": 60}, ["a"] * 30 + ["b"] * 30 + ["a"] * 40)
    observed = np.array([[30.0, 40.0], [10.0, 20.0]])
    expected = observed.sum(1, keepdims=True) * observed.sum(0) / 100
    v = np.sqrt((((observed - expected) ** 2) / expected).sum() / 100)
    assert class_by_source(table)["values"]["cramers_v"] == pytest.approx(v, abs=1e-6)


def test_independent_sources_pass_with_a_small_v():
    rng = np.random.default_rng(0)
    table = with_sources({"covid": 400, "normal": 400, "viral": 400}, rng.choice(["a", "b", "c"], 1200))
    record = class_by_source(table)
    assert record["result"] == "pass"
    assert record["values"]["cramers_v"] < 0.1


def test_a_source_that_is_unknown_for_one_class_alone_counts_as_one():
    table = with_sources({"covid": 50, "normal": 50}, [""] * 50 + ["b"] * 50)
    assert class_by_source(table)["values"]["cramers_v"] == 1.0


def test_without_any_source_nothing_can_be_measured():
    assert class_by_source(manifest({"covid": 5, "normal": 5}))["result"] == "not_measurable"


def test_one_source_for_all_is_independent_of_class():
    record = class_by_source(with_sources({"covid": 50, "normal": 50}, "a"))
    assert (record["result"], record["values"]["cramers_v"]) == ("pass", 0.0)


def test_the_sample_has_an_id_of_its_own():
    assert class_by_source(manifest({"a": 5, "b": 5}), "class_by_source_sample")["id"] == "class_by_source_sample"
