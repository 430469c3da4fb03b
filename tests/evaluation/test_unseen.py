"""Figures of hospitals that were left out of training, from answers written by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import DataError
from cxr.evaluation.unseen import measure_out_of_scope, measure_unseen
from cxr.inference.gate import FLAGS, Flag, Judged, unjudged
from tests.evaluation.stats.cases import decisions, outputs

CLASSES = ("covid", "normal", "viral_pneumonia")


def answers(hospital: str, normal_as_covid: int, normals: int = 40, covids: int = 20) -> pd.DataFrame:
    """Answers of a network that is right on validation, and calls some normal films of the hospital covid."""
    random = np.random.default_rng(len(hospital))
    rows = []
    for label in CLASSES:
        for number in range(60):
            rows.append(("validation", f"{label}/{number}.png", label, label))
    for number in range(normals):
        said = "covid" if number < normal_as_covid else "normal"
        rows.append(("held_out", f"{hospital}/n{number}.png", "normal", said))
    rows += [("held_out", f"{hospital}/c{number}.png", "covid", "covid") for number in range(covids)]
    table = pd.DataFrame(rows, columns=["split", "file", "actual", "said"])
    for name in CLASSES:
        table[f"logit_{name}"] = np.where(table["said"] == name, 6.0, 0.0) + random.normal(0, 0.3, len(table))
    return table.drop(columns="said").assign(held_out=hospital, network="cnn1")


def measured(*parts: pd.DataFrame, judged=None):
    table = pd.concat(parts, ignore_index=True)
    files = sorted(set(table.loc[table["split"] == "held_out", "file"]))
    verdicts = {file: number for number, file in enumerate(files)}
    return measure_unseen(table, verdicts, judged or unjudged(len(files)), CLASSES, "covid", 0.05)


def row(found, hospital: str, label: str):
    return next(one for one in (*found.rows, *found.overall) if (one.hospital, one.label) == (hospital, label))


def test_false_alarms_and_recall_are_counted_by_hospital_and_together() -> None:
    found = measured(answers("north", 10), answers("south", 2, normals=20, covids=0))
    assert row(found, "north", "normal").called.value == 0.25
    assert row(found, "south", "normal").called.value == 0.1
    assert row(found, "", "normal").called.value == 0.2
    assert row(found, "north", "covid").called.value == 1
    assert row(found, "", "covid").n == 20
    assert found.alarms.value == 0.2
    low, high = row(found, "north", "normal").called.low, row(found, "north", "normal").called.high
    assert 0.1 < low < 0.25 < high < 0.45


def test_a_class_that_is_called_another_is_not_recognised() -> None:
    table = answers("north", 10)
    sick = table["actual"].eq("covid") & table["split"].eq("held_out")
    table.loc[sick, ["actual"]] = "viral_pneumonia"  # all of which are called covid
    found = measured(table, answers("south", 2, normals=20))
    assert row(found, "north", "viral_pneumonia").recognised.value == 0
    assert row(found, "north", "viral_pneumonia").called.value == 1
    assert row(found, "north", "normal").recognised.value == 0.75
    assert row(found, "", "normal").recognised.value == 0.8
    assert row(found, "south", "covid").recognised == row(found, "south", "covid").called


def test_a_hospital_without_a_class_has_no_row_of_it() -> None:
    found = measured(answers("north", 1, covids=0))
    assert [(one.hospital, one.label) for one in found.rows] == [("north", "normal")]
    assert row(found, "", "normal").auc.value is None


def test_the_area_is_of_the_target_s_films_against_the_others() -> None:
    auc = row(measured(answers("north", 0)), "", "normal").auc.value
    assert auc == 1
    worse = row(measured(answers("north", 20)), "", "normal").auc.value
    assert 0.6 < worse < 0.9


def test_what_the_gate_says_of_the_films_counts() -> None:
    table = answers("north", 10)
    files = sorted(set(table.loc[table["split"] == "held_out", "file"]))
    flags = np.zeros((len(files), len(FLAGS)), np.bool_)
    flags[:, FLAGS.index(Flag.OUT_OF_DISTRIBUTION)] = [file.startswith("north/n") for file in files]
    reasons = np.array(["not_a_radiograph" if file == "north/c0.png" else "" for file in files])
    found = measured(table, judged=Judged(reasons, flags))
    assert row(found, "north", "normal").unlike.value == 1
    assert row(found, "north", "normal").referred.value == 1
    assert row(found, "north", "normal").suspected.value == 0
    assert row(found, "north", "covid").rejected.value == 0.05


def test_answers_of_another_run_are_refused() -> None:
    table = answers("north", 1)
    with pytest.raises(DataError, match=r"north/c0\.png"):
        measure_unseen(table, {}, unjudged(0), CLASSES, "covid", 0.05)


def test_nothing_left_out_is_nothing_measured() -> None:
    assert measured(answers("north", 1).iloc[:0]) is None


def test_films_of_no_class_are_counted_by_what_they_are_called() -> None:
    said = ["covid"] * 3 + ["viral_pneumonia"] + ["normal"] * 6
    logits = np.array([[6.0 if name == one else 0.0 for name in CLASSES] for one in said], np.float32)
    films = replace(outputs(10, truth=np.full(10, -1)), logits=logits, source=np.full(10, "north"))
    rejected = np.array([True] + [False] * 9)
    judged = replace(unjudged(10), reasons=np.where(rejected, "not_a_radiograph", ""))
    labels = np.array(["tuberculosis"] * 8 + ["nodule"] * 2)
    found = measure_out_of_scope(films, labels, decisions(outputs(split="validation")), judged)
    assert [(one.label, one.source, one.n) for one in found] == [("nodule", "north", 2), ("tuberculosis", "north", 8)]
    nodules, ill = found
    assert nodules.called["normal"].value == 1
    assert [ill.called[name].value for name in CLASSES] == [3 / 8, 4 / 8, 1 / 8]
    assert ill.rejected.value == 1 / 8
    assert ill.suspected.value == 2 / 8
