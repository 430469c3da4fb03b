import pytest

from cxr.dataset.balancing import BalanceParams, balance_rows
from cxr.errors import DataError
from tests.tables import manifest


def test_every_class_gets_as_many_rows_as_the_smallest_has():
    balanced = balance_rows(manifest({"covid": 9, "normal": 30, "viral": 12}), BalanceParams(), seed=1)
    assert balanced["label"].value_counts().to_dict() == {"covid": 9, "normal": 9, "viral": 9}


def test_no_row_is_copied_and_order_is_kept():
    balanced = balance_rows(manifest({"covid": 9, "normal": 30}), BalanceParams(), seed=1)
    assert balanced["file"].is_unique
    assert balanced["index"].is_monotonic_increasing


def test_one_of_each_group_of_equal_pixels_stays():
    table = manifest({"covid": 10, "normal": 10})
    table.loc[[1, 2], "pixels_sha256"] = table.loc[0, "pixels_sha256"]
    balanced = balance_rows(table, BalanceParams(), seed=1)
    assert balanced["pixels_sha256"].is_unique
    assert balanced["label"].value_counts().to_dict() == {"covid": 8, "normal": 8}


def test_the_seed_decides_which_rows_are_chosen():
    table = manifest({"covid": 5, "normal": 40})
    chosen = [balance_rows(table, BalanceParams(), seed)["index"].tolist() for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_per_class_limits_the_rows():
    balanced = balance_rows(manifest({"covid": 9, "normal": 30}), BalanceParams(per_class=4), seed=1)
    assert balanced["label"].value_counts().to_dict() == {"covid": 4, "normal": 4}


def test_more_than_the_smallest_class_has_is_refused():
    with pytest.raises(DataError, match=r"balance\.per_class is 10, but covid has 9 distinct images"):
        balance_rows(manifest({"covid": 9, "normal": 30}), BalanceParams(per_class=10), seed=1)
