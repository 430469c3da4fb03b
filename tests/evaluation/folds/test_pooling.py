import numpy as np
import pandas as pd
import pytest

from cxr.errors import DataError
from cxr.evaluation.folds.pooling import pool, with_groups
from tests.evaluation.folds.drawn import CLASSES, answers


def test_every_image_is_there_once_for_each_seed_and_network_whatever_the_order_of_the_rows():
    table = with_groups(answers(networks=(("cnn1", 2.0), ("cnn3", 1.0)), n=90))
    pooled = pool(table.sample(frac=1, random_state=1))
    assert (pooled.classes, pooled.folds, len(pooled.truth)) == (CLASSES, 5, 90)
    assert {name: list(seeds) for name, seeds in pooled.networks.items()} == {"cnn1": [7, 8], "cnn3": [7, 8]}
    for name, seeds in pooled.networks.items():
        for seed, one in seeds.items():
            assert sorted(one.image) == list(range(90))
            assert set(one.fold) == set(range(5))
            rows = table[(table["network"] == name) & (table["seed"] == seed)].set_index("file")
            said = rows.loc[[f"{i:04d}.png" for i in one.image]]
            assert (one.answers.probabilities == said.filter(like="probability_").to_numpy()).all()
            assert (np.array(CLASSES)[one.answers.truth] == said["label"]).all()
            assert (one.fold == said["fold"]).all()


def test_seeds_may_have_other_images_and_groups_are_made_of_all():
    table = answers(n=90, patients=["a", "a", *[""] * 88])
    table.loc[table["file"] == "0002.png", "duplicate_group"] = 1  # patient a again, by a copy of 0001
    grouped = with_groups(table[(table["seed"] == 7) | (table["file"] != "0001.png")])
    first = grouped[grouped["file"].isin(["0000.png", "0001.png", "0002.png"])]
    assert first["group"].nunique() == 1
    assert grouped["group"].nunique() == 88
    pooled = pool(grouped)
    assert [len(one.image) for one in pooled.networks["cnn1"].values()] == [90, 89]


def test_an_image_in_two_folds_is_refused():
    table = with_groups(answers(n=90))
    first = table[(table["seed"] == 8) & (table["fold"] == 0)].iloc[[0]]
    with pytest.raises(DataError, match=rf"cnn1 with seed 8 was asked about {first['file'].item()} in two folds"):
        pool(pd.concat([table, first.assign(fold=1)]))


def test_a_fold_without_answers_is_refused():
    table = with_groups(answers(n=90))
    with pytest.raises(DataError, match="cnn1 with seed 7 has no answers for fold 2; expected folds 0 to 4"):
        pool(table[(table["seed"] != 7) | (table["fold"] != 2)])


def moved(table):
    """Let cnn3 have been asked about each image in the next fold."""
    second = table["network"] == "cnn3"
    return table.assign(fold=table["fold"].where(~second, (table["fold"] + 1) % 5))


def without_a_seed(table):
    return table[(table["network"] != "cnn3") | (table["seed"] != 8)]


@pytest.mark.parametrize("change", [moved, without_a_seed])
def test_networks_that_were_asked_about_other_folds_are_not_compared(change):
    table = with_groups(answers(networks=(("cnn1", 2.0), ("cnn3", 1.0)), n=90))
    with pytest.raises(DataError, match="cnn1 and cnn3 were not asked about the same folds"):
        pool(change(table))
