import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, log_loss, recall_score, roc_auc_score

from cxr.evaluation.folds.measuring import measure_folds, summary
from cxr.evaluation.folds.pooling import pool, with_groups
from tests.evaluation.folds.drawn import CLASSES, answers, by_hand

FIGURES = ["balanced_accuracy", "log_loss", "macro_auc", *(f"recall {label}" for label in CLASSES)]


def measured(**options):
    table = with_groups(answers(**options))
    return table, measure_folds(pool(table))


def test_mean_and_spreads_are_those_worked_out_by_hand():
    # Two seeds of two folds: 0.4 and 0.6 with all together 0.5; 0.7 and 0.9 with all together 0.8.
    found = summary(np.array([[0.4, 0.6], [0.7, 0.9]]), np.array([0.5, 0.8]), np.linspace(0, 1, 2001))
    assert found["mean"] == 0.65
    assert found["spread_over_seeds"] == pytest.approx(0.3 / 2**0.5, abs=1e-6)
    assert found["spread_over_folds"] == pytest.approx(0.2 / 2**0.5, abs=1e-6)  # of each seed, not of all four
    assert (found["low"], found["high"]) == (0.025, 0.975)
    assert found["out_of_fold"] == [0.5, 0.8]
    assert found["by_fold"] == [[0.4, 0.6], [0.7, 0.9]]


def test_one_seed_shows_no_spread_over_seeds():
    found = summary(np.array([[0.4, 0.6]]), np.array([0.5]), np.linspace(0, 1, 11))
    assert found["spread_over_seeds"] is None
    assert found["spread_over_folds"] == pytest.approx(0.2 / 2**0.5, abs=1e-6)


def test_figures_of_all_folds_together_are_not_the_mean_of_the_folds():
    covid, normal, viral = CLASSES
    rows = [
        *[("cnn1", 7, 0, file, covid, said) for file, said in ((1, covid), (2, covid), (3, covid))],
        *[("cnn1", 7, 0, 4, normal, normal), ("cnn1", 7, 0, 5, viral, viral)],
        *[("cnn1", 7, 1, 6, covid, normal), ("cnn1", 7, 1, 7, normal, normal), ("cnn1", 7, 1, 8, viral, viral)],
    ]
    figures = measure_folds(pool(by_hand(rows)))["networks"]["cnn1"]
    assert figures["recall covid"]["by_fold"] == [[1.0, 0.0]]
    assert figures["recall covid"]["out_of_fold"] == [0.75]
    assert figures["balanced_accuracy"]["by_fold"] == [[1.0, pytest.approx(2 / 3, abs=1e-6)]]
    assert figures["balanced_accuracy"]["out_of_fold"] == [pytest.approx(2.75 / 3, abs=1e-6)]


def test_every_figure_is_that_of_scikit_learn_on_the_pooled_rows():
    table, report = measured(networks=(("cnn1", 2.0), ("cnn3", 1.0)), n=120)
    assert (report["folds"], report["seeds"], report["images"], report["groups"]) == (5, [7, 8], 120, 120)
    for name, figures in report["networks"].items():
        assert list(figures) == FIGURES
        for place, seed in enumerate((7, 8)):
            rows = table[(table["network"] == name) & (table["seed"] == seed)]
            for values, part in ((0, rows), *((fold + 1, rows[rows["fold"] == fold]) for fold in range(5))):
                truth = part["label"].map(CLASSES.index).to_numpy()
                said = part.filter(like="probability_").to_numpy()
                expected = [
                    balanced_accuracy_score(truth, said.argmax(axis=1)),
                    log_loss(truth, said, labels=[0, 1, 2]),
                    roc_auc_score(truth, said, multi_class="ovr"),
                    *recall_score(truth, said.argmax(axis=1), average=None),
                ]
                found = [
                    figures[key]["by_fold"][place][values - 1] if values else figures[key]["out_of_fold"][place]
                    for key in FIGURES
                ]
                assert found == pytest.approx(expected, abs=1e-6)


def test_the_interval_is_that_of_patients_and_not_of_their_images():
    patients = [f"p{number // 12}-{number % 3}" for number in range(300)]  # four images each, of one class
    table = answers(patients=patients)
    said = [name for name in table.columns if name.startswith("probability_")]
    table[said] = table.groupby(["seed", "patient"])[said].transform("first")  # a patient's images look alike
    grouped, alone = (measure_folds(pool(with_groups(one))) for one in (table, table.assign(patient="")))
    assert (grouped["groups"], alone["groups"]) == (75, 300)
    for figure in FIGURES:
        one, other = (report["networks"]["cnn1"][figure] for report in (grouped, alone))
        assert one["mean"] == other["mean"]
        assert one["low"] < one["mean"] < one["high"]
        assert one["high"] - one["low"] == pytest.approx(2 * (other["high"] - other["low"]), rel=0.25)


def test_the_interval_does_not_take_the_spread_over_seeds_in():
    """A second seed with the answers of the first leaves mean and interval as they are."""
    one = answers(seeds=(7,))
    once, twice = (
        measure_folds(pool(with_groups(table)))["networks"]["cnn1"]
        for table in (one, pd.concat([one, one.assign(seed=8)]))
    )
    for figure in FIGURES:
        assert [once[figure][key] for key in ("mean", "low", "high")] == [
            twice[figure][key] for key in ("mean", "low", "high")
        ]
        assert (once[figure]["spread_over_seeds"], twice[figure]["spread_over_seeds"]) == (None, 0.0)
