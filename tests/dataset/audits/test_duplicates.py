import numpy as np

from cxr.dataset.audits.duplicates import exact_duplicates, label_conflicts, near_duplicates
from tests.tables import manifest


def test_exact_and_near_copies_are_counted_by_group_and_class():
    table = manifest({"covid": 6, "normal": 4})
    table.loc[[0, 1, 2], "pixels_sha256"] = "a"
    table.loc[[0, 1, 2], "duplicate_group"] = 0
    table.loc[[4, 5], "duplicate_group"] = 4
    exact, near = exact_duplicates(table), near_duplicates(table, np.full(10, 70))
    assert (exact.result, near.result) == ("warn", "warn")
    assert [exact.values[key] for key in ("groups", "files", "redundant", "across_classes")] == [1, 3, 2, 0]
    assert [near.values[key] for key in ("groups", "files", "redundant", "largest_group")] == [2, 5, 3, 3]
    assert near.values["files_by_class"] == {"covid": 5}
    assert near.values["nearest_bits"][-1] == {"from": 65, "images": 10}


def test_a_release_without_copies_passes():
    table = manifest({"covid": 3, "normal": 3})
    assert exact_duplicates(table).result == "pass"
    assert near_duplicates(table, np.full(6, 256)).result == "pass"
    assert label_conflicts(table).result == "pass"


def test_one_picture_under_two_labels_fails_and_is_named():
    table = manifest({"covid": 3, "normal": 3})
    table.loc[4, "duplicate_group"] = 1
    record = label_conflicts(table)
    assert record.result == "fail"
    assert record.fixable
    assert "covid/images/1.png (covid) and normal/images/4.png (normal)" in record.found
    assert exact_duplicates(table).values["across_classes"] == 0
    assert near_duplicates(table, np.full(6, 9)).values["across_classes"] == 1
