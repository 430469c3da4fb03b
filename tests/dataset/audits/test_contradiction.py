import numpy as np

from cxr.dataset.audits.changes import change_points
from cxr.dataset.audits.contradiction import metadata_contradiction
from cxr.dataset.numbering import file_numbers
from tests.dataset.audits.tables import numbered

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
    return metadata_contradiction(table, features, rows, change_points(table, features, rows, 7), 7)


def test_sources_stated_in_the_wrong_order_are_contradicted():
    record = audited(lambda number: "b" if number > CLAIMED else "a")
    assert record["result"] == "warn"
    assert not record["fixable"]
    (found,) = record["values"]["classes"]
    assert found["claimed_auc"] < 0.6 < 0.9 < found["scan_auc"]
    assert found["block"] == "upper"
    assert abs(found["number"] - SWITCH) <= 30
    assert "the files up to number" in record["found"]


def test_swapped_sources_of_single_files_are_contradicted():
    coin = np.random.default_rng(2).integers(0, 2, COUNT + 1)
    assert audited(lambda number: "ab"[coin[number]])["result"] == "warn"


def test_sources_that_agree_with_the_pixels_pass():
    record = audited(lambda number: "b" if number > SWITCH else "a")
    assert record["result"] == "pass"
    assert record["values"]["classes"][0]["claimed_auc"] > 0.9


def test_a_true_source_beside_an_unstated_change_is_no_contradiction():
    record = audited(lambda number: "b" if number > CLAIMED else "a", second=CLAIMED)
    assert record["result"] == "pass"


def test_one_source_a_class_cannot_be_compared():
    assert audited(lambda _: "a")["result"] == "not_applicable"
    assert audited(lambda _: "")["result"] == "not_applicable"


def test_without_a_change_equal_sources_are_no_contradiction():
    record = audited(lambda number: "b" if number > CLAIMED else "a", true_switch=COUNT)
    assert record["result"] == "pass"
    assert not record["values"]["classes"][0]["change_found"]
