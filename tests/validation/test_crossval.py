"""Two networks on the same folds: differences are paired, and keep the three uncertainties apart as well."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, log_loss, recall_score, roc_auc_score

from cxr.core.errors import DataError, ModelError
from cxr.core.files import read_json, write_json
from cxr.core.manifest import data_summary
from cxr.evaluation.stats.calibration import fit_temperature
from cxr.inference.model_folder import load_model
from cxr.inference.network import softmax
from cxr.validation.crossval import COLUMNS, measure_folds, pool, predict_fold, summary, with_groups
from tests.evaluation.cases import CLASSES, planes, split_table, trained
from tests.validation.drawn import CLASSES as DRAWN_CLASSES
from tests.validation.drawn import answers, by_hand


@pytest.fixture
def fold(tmp_path):
    """Give a network that says it was trained on a split table, and the table."""
    table = split_table(20)
    folder = trained(tmp_path / "cnn1")
    write_json(folder / "model.json", read_json(folder / "model.json") | {"data": data_summary(table)})
    return load_model(folder), table


def test_the_answers_are_the_test_split_calibrated_on_validation(fold):
    model, table = fold
    images = planes(table)
    said = predict_fold(model, table, images, seed=8, fold=3)
    test = table[table["split"] == "test"]
    assert list(said.columns) == [*COLUMNS, *(f"probability_{label}" for label in CLASSES)]
    assert said["file"].tolist() == test["file"].tolist()
    assert said[["network", "seed", "fold"]].drop_duplicates().to_numpy().tolist() == [["cnn1", 8, 3]]

    validation = table[table["split"] == "validation"]
    truth = validation["label"].map(CLASSES.index).to_numpy()
    temperature = fit_temperature(model.network.logits(images[validation["index"]]), truth)
    expected = softmax(model.network.logits(images[test["index"]]) / temperature)
    assert said.filter(like="probability_").to_numpy() == pytest.approx(expected, abs=1e-8)
    assert np.unique(expected.round(6), axis=0).shape[0] > 1


def test_a_network_of_another_fold_is_not_asked(fold):
    model, table = fold
    other = table.assign(split=np.roll(table["split"], 1))
    with pytest.raises(ModelError, match=r"was trained on another split than that of fold 3 with seed 8"):
        predict_fold(model, other, planes(table), seed=8, fold=3)


FIGURES = ["balanced_accuracy", "log_loss", "macro_auc", *(f"recall {label}" for label in DRAWN_CLASSES)]


def measured(**options):
    table = with_groups(answers(**options))
    return table, measure_folds(pool(table))


def test_mean_and_spreads_are_those_worked_out_by_hand():
    # Two seeds of two folds: 0.4 and 0.6 with all together 0.5; 0.7 and 0.9 with all together 0.8.
    found = summary(np.array([[0.4, 0.6], [0.7, 0.9]]), np.array([0.5, 0.8]), np.linspace(0, 1, 2001))
    assert found.mean == 0.65
    assert found.spread_over_seeds == pytest.approx(0.3 / 2**0.5, abs=1e-6)
    assert found.spread_over_folds == pytest.approx(0.2 / 2**0.5, abs=1e-6)  # of each seed, not of all four
    assert (found.low, found.high) == (0.025, 0.975)
    assert found.out_of_fold == (0.5, 0.8)
    assert found.by_fold == ((0.4, 0.6), (0.7, 0.9))


def test_one_seed_shows_no_spread_over_seeds():
    found = summary(np.array([[0.4, 0.6]]), np.array([0.5]), np.linspace(0, 1, 11))
    assert found.spread_over_seeds is None
    assert found.spread_over_folds == pytest.approx(0.2 / 2**0.5, abs=1e-6)


def test_figures_of_all_folds_together_are_not_the_mean_of_the_folds():
    covid, normal, viral = DRAWN_CLASSES
    rows = [
        *[("cnn1", 7, 0, file, covid, said) for file, said in ((1, covid), (2, covid), (3, covid))],
        *[("cnn1", 7, 0, 4, normal, normal), ("cnn1", 7, 0, 5, viral, viral)],
        *[("cnn1", 7, 1, 6, covid, normal), ("cnn1", 7, 1, 7, normal, normal), ("cnn1", 7, 1, 8, viral, viral)],
    ]
    figures = measure_folds(pool(by_hand(rows))).networks["cnn1"]
    assert figures["recall covid"].by_fold == ((1.0, 0.0),)
    assert figures["recall covid"].out_of_fold == (0.75,)
    assert figures["balanced_accuracy"].by_fold == ((1.0, pytest.approx(2 / 3, abs=1e-6)),)
    assert figures["balanced_accuracy"].out_of_fold == (pytest.approx(2.75 / 3, abs=1e-6),)


def test_every_figure_is_that_of_scikit_learn_on_the_pooled_rows():
    table, report = measured(networks=(("cnn1", 2.0), ("cnn3", 1.0)), n=120)
    assert (report.folds, report.seeds, report.images, report.groups) == (5, (7, 8), 120, 120)
    for name, figures in report.networks.items():
        assert list(figures) == FIGURES
        for place, seed in enumerate((7, 8)):
            rows = table[(table["network"] == name) & (table["seed"] == seed)]
            for values, part in ((0, rows), *((fold + 1, rows[rows["fold"] == fold]) for fold in range(5))):
                truth = part["label"].map(DRAWN_CLASSES.index).to_numpy()
                said = part.filter(like="probability_").to_numpy()
                expected = [
                    balanced_accuracy_score(truth, said.argmax(axis=1)),
                    log_loss(truth, said, labels=[0, 1, 2]),
                    roc_auc_score(truth, said, multi_class="ovr"),
                    *recall_score(truth, said.argmax(axis=1), average=None),
                ]
                found = [
                    figures[key].by_fold[place][values - 1] if values else figures[key].out_of_fold[place]
                    for key in FIGURES
                ]
                assert found == pytest.approx(expected, abs=1e-6)


def test_the_interval_is_that_of_patients_and_not_of_their_images():
    patients = [f"p{number // 12}-{number % 3}" for number in range(300)]  # four images each, of one class
    table = answers(patients=patients)
    said = [name for name in table.columns if name.startswith("probability_")]
    table[said] = table.groupby(["seed", "patient"])[said].transform("first")  # a patient's images look alike
    grouped, alone = (measure_folds(pool(with_groups(one))) for one in (table, table.assign(patient="")))
    assert (grouped.groups, alone.groups) == (75, 300)
    for figure in FIGURES:
        one, other = (report.networks["cnn1"][figure] for report in (grouped, alone))
        assert one.mean == other.mean
        assert one.low < one.mean < one.high
        assert one.high - one.low == pytest.approx(2 * (other.high - other.low), rel=0.25)


def test_the_interval_does_not_take_the_spread_over_seeds_in():
    """A second seed with the answers of the first leaves mean and interval as they are."""
    one = answers(seeds=(7,))
    once, twice = (
        measure_folds(pool(with_groups(table))).networks["cnn1"]
        for table in (one, pd.concat([one, one.assign(seed=8)]))
    )
    for figure in FIGURES:
        assert [getattr(once[figure], key) for key in ("mean", "low", "high")] == [
            getattr(twice[figure], key) for key in ("mean", "low", "high")
        ]
        assert (once[figure].spread_over_seeds, twice[figure].spread_over_seeds) == (None, 0.0)


def test_every_image_is_there_once_for_each_seed_and_network_whatever_the_order_of_the_rows():
    table = with_groups(answers(networks=(("cnn1", 2.0), ("cnn3", 1.0)), n=90))
    pooled = pool(table.sample(frac=1, random_state=1))
    assert (pooled.classes, pooled.folds, len(pooled.truth)) == (DRAWN_CLASSES, 5, 90)
    assert {name: list(seeds) for name, seeds in pooled.networks.items()} == {"cnn1": [7, 8], "cnn3": [7, 8]}
    for name, seeds in pooled.networks.items():
        for seed, one in seeds.items():
            assert sorted(one.image) == list(range(90))
            assert set(one.fold) == set(range(5))
            rows = table[(table["network"] == name) & (table["seed"] == seed)].set_index("file")
            said = rows.loc[[f"{i:04d}.png" for i in one.image]]
            assert (one.answers.probabilities == said.filter(like="probability_").to_numpy()).all()
            assert (np.array(DRAWN_CLASSES)[one.answers.truth] == said["label"]).all()
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


KEYS = ("mean", "out_of_fold", "by_fold")


def report(networks, **options):
    return measure_folds(pool(with_groups(answers(networks=networks, **options))))


def test_a_difference_is_that_of_the_figures_fold_by_fold_and_seed_by_seed():
    found = report((("cnn1", 2.0), ("cnn3", 1.0), ("vgg16", 0.5)), n=120)
    assert list(found.differences) == ["cnn1 less cnn3", "cnn1 less vgg16", "cnn3 less vgg16"]
    for figure, difference in found.differences["cnn1 less vgg16"].items():
        first, second = (found.networks[name][figure] for name in ("cnn1", "vgg16"))
        for key in KEYS:
            whole, one, other = (np.array(getattr(figure, key)) for figure in (difference, first, second))
            assert whole == pytest.approx(one - other, abs=2e-6)
        seeds = np.array(first.out_of_fold) - np.array(second.out_of_fold)
        assert difference.spread_over_seeds == pytest.approx(seeds.std(ddof=1), abs=2e-6)


def test_a_difference_that_is_there_is_told_from_one_that_is_not():
    found = report((("cnn1", 2.0), ("cnn3", 1.0))).differences["cnn1 less cnn3"]
    assert found["balanced_accuracy"].low > 0.1
    assert found["log_loss"].high < 0
    same = report((("cnn1", 2.0), ("cnn2", 2.0)), n=90).differences["cnn1 less cnn2"]
    for figure in same.values():  # equal skill and equal draws of noise
        assert (figure.mean, figure.spread_over_seeds, figure.low, figure.high) == (0.0, 0.0, None, None)


def test_the_paired_interval_is_narrower_than_one_that_forgets_the_pairing():
    networks = (("cnn1", 2.0), ("cnn2", 1.8))  # equal noise: they fail on the same images
    found = report(networks)
    figures = [*found.networks.values(), found.differences["cnn1 less cnn2"]]
    *alone, paired = (figure["log_loss"].high - figure["log_loss"].low for figure in figures)
    assert paired < 0.7 * np.hypot(*alone)
