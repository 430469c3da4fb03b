from dataclasses import replace

import numpy as np
import pytest

from cxr.evaluation.tables import (
    learning_curves_table,
    predictions_table,
    reliability_table,
    risk_coverage_table,
    roc_table,
)
from tests.evaluation.cases import CLASSES, candidate, judged
from tests.evaluation.reporting.fake import report


@pytest.fixture(scope="module")
def two():
    return [candidate("cnn1"), candidate("vgg16", seed=2)]


@pytest.fixture(scope="module")
def models():
    return report(2)["models"]


def test_predictions_have_a_row_for_each_model_and_test_image(two):
    table = predictions_table(two)
    assert table.columns.tolist() == [
        "model", "file", "actual", "predicted", *(f"probability_{c}" for c in CLASSES),
        "prediction_set", "decision", "refer_reason", "reason", "flags",
    ]  # fmt: skip
    assert table["model"].tolist() == ["cnn1"] * 30 + ["vgg16"] * 30
    assert table["file"].tolist() == [*two[0].test.files] * 2
    assert [CLASSES.index(label) for label in table["actual"]] == [*two[0].test.truth] * 2
    assert table.index.tolist() == list(range(60))


def test_probabilities_of_the_table_are_the_calibrated_ones_with_six_decimals(two):
    table = predictions_table(two)
    values = table[[f"probability_{label}" for label in CLASSES]].to_numpy()
    assert values[:30] == pytest.approx(two[0].probabilities, abs=5e-7)
    assert np.array_equal(values, values.round(6))
    assert not np.allclose(values[:30], values[30:])
    largest = [CLASSES[number] for number in two[1].probabilities.argmax(axis=1)]
    assert table["predicted"].tolist()[30:] == largest


def test_decisions_of_the_table_are_those_of_the_bulk_command_and_rejected_images_have_none(two):
    one = replace(two[0], judged=judged({0: "not_a_radiograph"}, {1: ("cropped", "out_of_distribution")}, two[0]))
    table = predictions_table([one])
    assert table.loc[0, ["prediction_set", "decision", "refer_reason", "reason"]].tolist() == [
        "", "", "", "not_a_radiograph",
    ]  # fmt: skip
    assert table.loc[0, "predicted"] in CLASSES
    assert table.loc[1, ["decision", "refer_reason", "flags"]].tolist() == [
        "refer", "out_of_distribution", "cropped out_of_distribution",
    ]  # fmt: skip
    plain = one.decisions.decide(one.probabilities, one.decisions.default_point)
    assert table["decision"].tolist()[2:] == [decision.word for decision in plain][2:]
    assert table["prediction_set"].tolist()[1:] == [" ".join(d.classes) or "empty" for d in plain][1:]
    assert table["reason"].tolist()[1:] == [""] * 29


def test_an_ensemble_has_no_learning_curve(two):
    joined = replace(two[1], history=None)
    assert learning_curves_table([two[0], joined])["model"].tolist() == ["cnn1", "cnn1"]


def test_learning_curves_have_a_row_for_each_model_and_epoch(two):
    table = learning_curves_table(two)
    assert table.columns.tolist() == ["model", "epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert table[["model", "epoch"]].to_numpy().tolist() == [["cnn1", 1], ["cnn1", 2], ["vgg16", 1], ["vgg16", 2]]


def test_a_curve_s_table_holds_every_point_of_the_report_and_no_other(models):
    roc = roc_table(models)
    assert roc.columns.tolist() == ["model", "class", "fpr", "tpr"]
    for model in models:
        for curve in model["roc"]:
            rows = roc[(roc["model"] == model["name"]) & (roc["class"] == curve["class"])]
            assert (rows["fpr"].tolist(), rows["tpr"].tolist()) == (curve["fpr"], curve["tpr"])
    assert len(roc) == sum(len(curve["fpr"]) for model in models for curve in model["roc"])


def test_the_other_tables_name_the_model_and_the_columns_that_dvc_plots(models):
    reliability, risk = reliability_table(models), risk_coverage_table(models)
    assert reliability.columns.tolist() == ["model", "confidence", "accuracy", "n", "low", "high"]
    assert risk.columns.tolist() == ["model", "coverage", "risk"]
    assert reliability.loc[10].to_dict() == {"model": "cnn3"} | models[1]["calibration"]["reliability"][0]
    assert risk.loc[101].to_dict() == {"model": "cnn3"} | models[1]["selective"]["curve"][0]
