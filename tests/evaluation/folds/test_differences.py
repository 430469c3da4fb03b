"""Two networks on the same folds: differences are paired, and keep the three uncertainties apart as well."""

import numpy as np
import pytest

from cxr.evaluation.folds.measuring import measure_folds
from cxr.evaluation.folds.pooling import pool, with_groups
from tests.evaluation.folds.drawn import answers

KEYS = ("mean", "out_of_fold", "by_fold")


def report(networks, **options):
    return measure_folds(pool(with_groups(answers(networks=networks, **options))))


def test_a_difference_is_that_of_the_figures_fold_by_fold_and_seed_by_seed():
    found = report((("cnn1", 2.0), ("cnn3", 1.0), ("vgg16", 0.5)), n=120)
    assert list(found["differences"]) == ["cnn1 less cnn3", "cnn1 less vgg16", "cnn3 less vgg16"]
    for figure, difference in found["differences"]["cnn1 less vgg16"].items():
        first, second = (found["networks"][name][figure] for name in ("cnn1", "vgg16"))
        for key in KEYS:
            assert np.array(difference[key]) == pytest.approx(np.array(first[key]) - np.array(second[key]), abs=2e-6)
        seeds = np.array(first["out_of_fold"]) - np.array(second["out_of_fold"])
        assert difference["spread_over_seeds"] == pytest.approx(seeds.std(ddof=1), abs=2e-6)


def test_a_difference_that_is_there_is_told_from_one_that_is_not():
    found = report((("cnn1", 2.0), ("cnn3", 1.0)))["differences"]["cnn1 less cnn3"]
    assert found["balanced_accuracy"]["low"] > 0.1
    assert found["log_loss"]["high"] < 0
    same = report((("cnn1", 2.0), ("cnn2", 2.0)), n=90)["differences"]["cnn1 less cnn2"]
    for figure in same.values():  # equal skill and equal draws of noise
        assert (figure["mean"], figure["spread_over_seeds"], figure["low"], figure["high"]) == (0.0, 0.0, None, None)


def test_the_paired_interval_is_narrower_than_one_that_forgets_the_pairing():
    networks = (("cnn1", 2.0), ("cnn2", 1.8))  # equal noise: they fail on the same images
    found = report(networks)
    figures = [*found["networks"].values(), found["differences"]["cnn1 less cnn2"]]
    *alone, paired = (figure["log_loss"]["high"] - figure["log_loss"]["low"] for figure in figures)
    assert paired < 0.7 * np.hypot(*alone)
