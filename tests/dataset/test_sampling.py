import re
from itertools import product

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from cxr.core.errors import DataError, ParamsError, SplitError
from cxr.core.manifest import file_numbers
from cxr.dataset.audits.splits import leak_across_splits, split_hygiene
from cxr.dataset.duplicates import leakage_groups
from cxr.dataset.sampling import (
    BalanceParams,
    GroupedFolds,
    SplitParams,
    balance_rows,
    check_split,
    fold_counts,
    split_rows,
)
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


DEFAULT = SplitParams(test=0.2, validation=0.16)


def table_with_families():
    """Return 300 rows: patients of three images, and some pairs of duplicates of other patients."""
    table = manifest({"covid": 100, "normal": 100, "viral": 100})
    table["patient"] = [f"p{i // 3}" if i % 2 else "" for i in range(300)]
    for first, second in ((3, 50), (7, 91), (120, 160), (210, 290)):
        table.loc[second, "duplicate_group"] = table.loc[first, "duplicate_group"]
    return table


def test_shares_are_64_16_20_in_every_class():
    split = split_rows(manifest({"covid": 100, "normal": 100}), DEFAULT, seed=1)
    counts = split.groupby(["label", "split"]).size().unstack()
    assert (counts["train"] == 64).all()
    assert (counts["validation"] == 16).all()
    assert (counts["test"] == 20).all()


@pytest.mark.parametrize("seed", range(20))
def test_no_patient_and_no_duplicate_group_is_in_two_splits(seed):
    split = split_rows(table_with_families(), DEFAULT, seed)
    known = split[split["patient"] != ""]
    assert known.groupby("patient")["split"].nunique().max() == 1
    assert split.groupby("duplicate_group")["split"].nunique().max() == 1
    assert split.groupby("label")["split"].value_counts(normalize=True).sub(0).between(0.1, 0.7).all()


def test_a_chain_of_patient_and_duplicate_is_one_group():
    table = manifest({"covid": 6})
    table["patient"] = ["a", "a", "b", "b", "", ""]
    table.loc[2, "duplicate_group"] = table.loc[1, "duplicate_group"]
    groups = leakage_groups(table)
    assert len(set(groups[:4])) == 1
    assert len(set(groups)) == 3


def test_unknown_patients_are_not_one_patient():
    assert len(set(leakage_groups(manifest({"covid": 5})))) == 5


def test_the_seed_decides_and_the_input_is_not_changed():
    table = table_with_families()
    before = table.copy()
    one, again, other = (split_rows(table, DEFAULT, seed)["split"].tolist() for seed in (1, 1, 2))
    assert one == again != other
    assert table.equals(before)


def test_a_copied_image_in_two_splits_is_found():
    split = split_rows(manifest({"covid": 50, "normal": 50}), DEFAULT, seed=1)
    train, test = (int(np.flatnonzero(split["split"] == name)[0]) for name in ("train", "test"))
    split.loc[split.index[test], "pixels_sha256"] = split["pixels_sha256"].iloc[train]
    with pytest.raises(SplitError, match="One value of pixels_sha256 is in more than one split"):
        check_split(split)


def test_copies_that_prepare_did_not_group_make_split_fail():
    table = manifest({"covid": 60, "normal": 60})
    table.loc[list(range(30)), "pixels_sha256"] = "0" * 64  # thirty copies, each its own duplicate group
    with pytest.raises(SplitError, match="pixels_sha256"):
        split_rows(table, DEFAULT, seed=1)


def test_two_swapped_patients_are_found():
    table = manifest({"covid": 60, "normal": 60})
    table["patient"] = [f"p{i // 2}" for i in range(120)]
    split = split_rows(table, DEFAULT, seed=1)
    train, test = (int(np.flatnonzero(split["split"] == name)[0]) for name in ("train", "test"))
    column = split.columns.get_loc("patient")
    split.iloc[train, column], split.iloc[test, column] = split.iloc[test, column], split.iloc[train, column]
    with pytest.raises(SplitError, match=r"2 values of patient are in more than one split, e.g. p\d+ \(.+ in "):
        check_split(split)


@pytest.mark.parametrize("folds", [2, 5])
def test_the_test_splits_of_all_folds_hold_every_image_once_and_part_no_family(folds):
    table, tested = table_with_families(), []
    for fold in range(folds):
        split = split_rows(table, SplitParams(test=0.2, validation=0.16, folds=folds, fold=fold), seed=3)
        tested += split.loc[split["split"] == "test", "file"].tolist()
        rest = split[split["split"] != "test"]
        assert (rest["split"] == "validation").mean() == pytest.approx(0.2, abs=0.02)
        assert (rest.groupby("label")["split"].nunique() == 2).all()
    assert sorted(tested) == sorted(table["file"])


def test_fold_0_of_5_is_the_split_by_shares_and_every_fold_passes_the_audits():
    table = manifest({"covid": 100, "normal": 100})
    shares, *folds = (
        split_rows(table, SplitParams(test=0.2, validation=0.16, folds=folds, fold=fold), seed=7)
        for folds, fold in ((None, None), (5, 0), (5, 1), (5, 4))
    )
    assert folds[0].equals(shares)
    assert not folds[1].equals(shares)
    for split in folds:
        assert leak_across_splits(split).result == split_hygiene(split, 7).result == "pass"


@pytest.mark.parametrize(("folds", "fold"), [(5, None), (None, 0), (5, 5)])
def test_half_a_pair_or_a_fold_that_is_none_is_refused(folds, fold):
    with pytest.raises(ParamsError, match=r"split\.folds is .+ and split\.fold is .+; expected .+ 0 <= fold < folds"):
        split_rows(manifest({"covid": 50, "normal": 50}), SplitParams(folds=folds, fold=fold), seed=1)


NO_TEST = "params.yaml: split.test is {}, which is not one k-th of the images; the nearest that are: {}"
NO_VALIDATION = (
    "params.yaml: split.validation is {} and split.test is {}, so validation is not one k-th of the images that are "
    "not in test; the nearest that are: split.validation {}"
)
NOTHING_LEFT = (
    "params.yaml: split.validation is 0.5 and split.test is 0.5, so nothing is left to train on; lower "
    "split.validation, to 0.25 or 0.167"
)


@pytest.mark.parametrize(
    ("test", "validation", "sentence"),
    [
        (0.28, 0.16, NO_TEST.format(0.28, "0.25 with split.validation 0.15, or 0.333 with split.validation 0.167")),
        (0.34, 0.16, NO_TEST.format(0.34, "0.333 with split.validation 0.167, or 0.5 with split.validation 0.167")),
        (0.45, 0.25, NO_TEST.format(0.45, "0.5 with split.validation 0.25, or 0.333 with split.validation 0.222")),
        (0.5, 0.16, NO_VALIDATION.format(0.16, 0.5, "0.167 or 0.125")),
        (0.5, 0.45, NO_VALIDATION.format(0.45, 0.5, "0.25 or 0.167")),
        (0.5, 0.4975, NO_VALIDATION.format(0.4975, 0.5, "0.25 or 0.167")),
        (0.5, 0.5, NOTHING_LEFT),
    ],
)
def test_a_share_that_is_no_fold_is_refused_with_its_key_and_the_nearest(test, validation, sentence):
    with pytest.raises(ParamsError) as error:
        split_rows(manifest({"covid": 50, "normal": 50}), SplitParams(test=test, validation=validation), seed=1)
    assert str(error.value) == sentence


def test_nothing_is_left_to_train_on_in_a_fold_either():
    with pytest.raises(ParamsError, match="nothing is left to train on"):
        fold_counts(SplitParams(test=0.5, validation=0.5, folds=5, fold=0))


def test_every_share_is_taken_or_refused_with_shares_that_are_taken():
    for test, validation in product(np.arange(1, 101) / 200, repeat=2):
        try:
            fold_counts(SplitParams(test=test, validation=validation))
        except ParamsError as error:
            said = str(error)
            pairs = re.findall(r"([\d.]+) with split\.validation ([\d.]+\d)", said)
            pairs = pairs or [(test, one) for one in re.findall(r"[\d.]+\d", said.partition(";")[2])]
            assert len(pairs) == 2, said
            for one, other in pairs:
                fold_counts(SplitParams(test=float(one), validation=float(other)))


@pytest.mark.parametrize(
    ("counts", "params", "words"),
    [
        (
            {"covid": 3, "normal": 30, "viral": 4},
            DEFAULT,
            "a class has too few images: covid has 3 and viral has 4; at least 5 are needed for 5 equal shares. Add "
            "images, or raise split.test in params.yaml",
        ),
        (
            {"covid": 5, "normal": 30},
            DEFAULT,
            "that are not in the test split: covid has 4; at least 5 are needed for 5 equal shares. Add images, or "
            "raise split.validation in params.yaml",
        ),
        ({"covid": 4, "normal": 30}, SplitParams(folds=6, fold=0), "Add images, or lower split.folds in params.yaml"),
        ({"covid": 30, "normal": 30}, SplitParams(test=5e-324, validation=0.2), "at least 1000000000 are needed"),
    ],
)
def test_too_few_images_are_refused_with_the_classes_and_the_key(counts, params, words):
    with pytest.raises(SplitError) as error:
        split_rows(manifest(counts), params, seed=1)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("patients", "words"),
    [(3, "the 20 images are of 3 groups by"), (5, "images that are not in the test split are of 4 groups by")],
)
def test_fewer_patients_than_folds_are_refused(patients, words):
    table = manifest({"covid": 10, "normal": 10})
    table["patient"] = [f"p{number % patients}" for number in range(20)]
    with pytest.raises(SplitError, match=f"{words} patient and duplicate, which stay together; at least 5 are needed"):
        split_rows(table, DEFAULT, seed=1)


@pytest.mark.parametrize("seed", range(4))
def test_folds_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    labels = rng.choice(["a", "b", "c", "d"][: 2 + seed % 3], 400, p=None)
    groups = rng.integers(0, 250, 400)
    folds = [
        list(kind(5, shuffle=True, random_state=seed).split(labels, labels, groups))
        for kind in (GroupedFolds, StratifiedGroupKFold)
    ]
    for (_, own), (_, expected) in zip(*folds, strict=True):
        assert np.array_equal(own, expected)
