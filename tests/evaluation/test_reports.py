import json

import pandas as pd
import pytest

from cxr.errors import ParamsError
from cxr.evaluation.card import render_card
from cxr.evaluation.report import render_report
from cxr.evaluation.screening_model import EvaluateParams, choose, describe_screening
from cxr.evaluation.writing import write_card, write_reports
from tests.evaluation.cases import CLASSES, description, evaluation


@pytest.fixture
def two():
    return [evaluation("cnn1", 0.3), evaluation("vgg16", 0.2)]


def test_the_lowest_validation_loss_is_chosen_unless_a_name_is_given(two):
    assert choose(two, EvaluateParams(screening_model="best")).name == "vgg16"
    assert choose(two, EvaluateParams(screening_model="cnn1")).name == "cnn1"
    with pytest.raises(ParamsError, match="expected best or one of cnn1, vgg16"):
        choose(two, EvaluateParams(screening_model="cnn2"))


def test_every_model_has_the_same_keys_and_says_how_it_was_initialised(two, tmp_path):
    write_reports(tmp_path, two, two[1])
    metrics = [json.loads((tmp_path / f"metrics/{name}.json").read_text()) for name in ("cnn1", "vgg16")]
    assert metrics[0].keys() == metrics[1].keys()
    assert metrics[0]["initialisation"] == "random"
    assert metrics[0]["validation_log_loss"] == 0.3


def test_predictions_have_a_row_for_each_model_and_image(two, tmp_path):
    write_reports(tmp_path, two, two[1])
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert len(table) == 20
    assert table.columns.tolist() == ["model", "file", "actual", "predicted", *(f"probability_{c}" for c in CLASSES)]
    assert table.loc[3, ["file", "actual", "predicted"]].tolist() == ["3.png", "covid", "normal"]
    assert len(pd.read_csv(tmp_path / "learning_curves.csv")) == 4


def test_equal_results_give_equal_bytes(two, tmp_path):
    for folder in ("a", "b"):
        write_reports(tmp_path / folder, two, two[1])
    for path in (p for p in (tmp_path / "a").rglob("*") if p.is_file()):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes(), path


def test_the_report_begins_with_what_it_cannot_show_and_names_the_chosen(two):
    text = render_report(two, two[1])
    assert text.index("do not show that a network detects disease") < text.index("balanced_accuracy")
    assert "Screens folders: **vgg16**" in text
    assert "Drawn phantoms" not in text


def test_phantoms_are_announced_in_report_and_card():
    phantom = evaluation(synthetic=50)
    assert "**Drawn phantoms.** 50 of 50" in render_report([phantom], phantom)
    card = render_card(describe_screening(phantom, dict.fromkeys(("classes", "image", "prepare", "balance", "split"))))
    assert "they mean nothing for patients" in card


def test_the_card_puts_out_of_scope_first_and_states_the_metrics(tmp_path):
    result = evaluation()
    full = description() | {"evaluation": result.flat_metrics(), "commit": "abc123"}
    write_card(tmp_path, full)
    card = (tmp_path / "model_card.md").read_text()
    headings = [line for line in card.splitlines() if line.startswith("#")]
    assert headings[1] == "## Out of scope"
    assert f"| balanced_accuracy | {result.metrics['balanced_accuracy']:.4f} |" in card
    assert "commit `abc123`" in card
    assert full["network"]["sha256"] in card
