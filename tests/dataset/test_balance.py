import pytest

from cxr.core.errors import DataError, ParamsError
from cxr.core.manifest import file_numbers
from cxr.dataset.balance import BalanceParams, balance_rows
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


def test_two_collections_of_a_class_are_drawn_from_alike():
    table = manifest({"covid": 10, "normal": 40})
    chosen = balance_rows(table, BalanceParams(blocks={"normal": 29}), seed=1)
    numbers = file_numbers(chosen.loc[chosen["label"] == "normal", "file"])
    assert (len(numbers), int((numbers <= 29).sum())) == (10, 5)
    assert chosen["index"].is_monotonic_increasing


@pytest.mark.parametrize(("last", "lower"), [(12, 3), (47, 8)])
def test_where_one_collection_is_too_small_the_other_gives_the_rest(last, lower):
    table = manifest({"covid": 10, "normal": 40})
    chosen = balance_rows(table, BalanceParams(blocks={"normal": last}), seed=1)
    numbers = file_numbers(chosen.loc[chosen["label"] == "normal", "file"])
    assert len(numbers) == 10
    assert int((numbers <= last).sum()) == lower


def test_blocks_of_an_unknown_class_are_refused():
    with pytest.raises(DataError, match=r"balance\.blocks names healthy, which is no class; expected covid, normal"):
        balance_rows(manifest({"covid": 9, "normal": 30}), BalanceParams(blocks={"healthy": 3}), seed=1)


def test_all_rows_are_every_distinct_image():
    table = manifest({"covid": 5, "normal": 40})
    table.loc[[1, 2], "pixels_sha256"] = table.loc[0, "pixels_sha256"]
    chosen = balance_rows(table, BalanceParams(rows="all"), seed=1)
    assert chosen["label"].value_counts().to_dict() == {"covid": 3, "normal": 40}
    assert chosen["index"].is_monotonic_increasing


@pytest.mark.parametrize("fewer", [{"per_class": 3}, {"blocks": {"normal": 20}}])
def test_all_rows_and_fewer_contradict_each_other(fewer):
    with pytest.raises(ParamsError, match=r"balance\.rows is 'all'"):
        balance_rows(manifest({"covid": 5, "normal": 40}), BalanceParams(rows="all", **fewer), seed=1)


def test_films_of_other_hospitals_are_left_aside_and_move_no_other_row():
    plain = manifest({"covid": 9, "normal": 30})
    more = manifest({"covid": 12, "normal": 40})
    added = [*range(3), *range(12, 22)]  # three of covid and ten of normal, before the others
    more["source"] = "release"
    more.loc[added, "source"] = "north"
    chosen = balance_rows(more, BalanceParams(without=("north",)), seed=1)
    assert set(chosen["source"]) == {"release"}
    kept = more[more["source"] == "release"].reset_index(drop=True)
    same = balance_rows(plain, BalanceParams(), seed=1).index
    assert chosen["file"].tolist() == kept.loc[same, "file"].tolist()


def test_a_source_that_is_not_there_is_named():
    with pytest.raises(DataError, match=r"balance\.without names south, which is no source of the images"):
        balance_rows(manifest({"covid": 9, "normal": 30}), BalanceParams(without=("south",)), seed=1)
