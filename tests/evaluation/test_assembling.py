import json
from dataclasses import replace

import pytest

from cxr.audit import Result, audit
from cxr.evaluation.assembling import assemble, model_part
from cxr.evaluation.reporting.markdown_page import render_markdown
from cxr.evaluation.stats.comparing import compare_models
from cxr.evaluation.stats.measuring import measure_model
from tests.evaluation.cases import CLASSES, candidate
from tests.evaluation.test_flat import AUDITED
from tests.evaluation.test_verdict import FLOOR

SPLIT = {
    "flow": [{"step": "in the release", "images": dict.fromkeys(CLASSES, 50), "dropped": 0, "why": ""}],
    "classes_by_split": {"train": dict.fromkeys(CLASSES, 30), "test": dict.fromkeys(CLASSES, 10)},
    "sources": [{"label": "covid", "source": "a", "images": 50}],
}
PARAMS = {"seed": 7, "evaluate": {"target": "covid"}}


def record(stage, result, waiver=None):
    found = audit("appearance_floor", "Lift", result, "Found.", "Limit.", fixable=True, values={})
    return {"stage": stage} | found | {"waiver": waiver}


def assembled(audits=()):
    two = [candidate("cnn1", skill=1.0), candidate("vgg16", seed=2, skill=3.0)]
    models = [
        model_part(one, screening=one is two[1], measured=measure_model(one.test, one.decisions, 1), audited=AUDITED)
        for one in two
    ]
    pairs = compare_models([one.test for one in two], [one.probabilities for one in two], 1)
    return two, assemble(two, models, FLOOR, list(audits), SPLIT, pairs, PARAMS)


@pytest.fixture(scope="module")
def whole():
    return assembled([record("split", Result.PASS), record("evaluate", Result.FAIL, "a smoke test")])


def test_the_report_is_json_without_nan_and_names_the_screening_model(whole):
    report = whole[1]
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["screening_model"] == "vgg16"
    assert [one["screening"] for one in report["models"]] == [False, True]
    assert report["verdict"]["headline"].startswith("vgg16 sorts 30 images")


def test_a_waiver_stands_in_the_report_with_its_reason(whole):
    report = whole[1]
    assert report["waivers"] == [{"stage": "evaluate", "audit": "Lift", "why": "a smoke test"}]
    assert report["verdict"]["level"] == "fine"
    assert report["audit_counts"] == {"fail": 1, "pass": 1}
    assert assembled()[1]["waivers"] == []


def test_data_flow_and_learning_curves_are_handed_on(whole):
    report = whole[1]
    assert report["flow"] == [SPLIT["flow"][0] | {"total": 150}]
    assert report["data"]["images_per_split"] == {"train": 90, "test": 30}
    assert report["data"]["classes"] == dict.fromkeys(CLASSES, 50)
    assert report["learning_curves"][2] == {
        "model": "vgg16", "epoch": 1, "loss": 1.0, "accuracy": 0.4, "val_loss": 0.9, "val_accuracy": 0.5,
    }  # fmt: skip
    assert len(report["learning_curves"]) == 4


def test_an_ensemble_has_members_no_epochs_and_no_learning_curve(whole):
    trained = whole[0][0]
    joined = {"members": ["a", "b"], "training": {"epochs": None, "best_epoch": None}}
    model = replace(trained.model, description=trained.model.description | joined)
    one = replace(trained, history=None, model=model)
    part = model_part(one, screening=True, measured=measure_model(one.test, one.decisions, 1), audited=AUDITED)
    assert (part["members"], part["epochs"], part["best_epoch"]) == (["a", "b"], None, None)
    report = assemble([one], [part], FLOOR, [], SPLIT, [], PARAMS)
    assert report["learning_curves"] == []
    assert "| cnn1 (screening) | random | 208,403 | 0.078 | none | none |" in render_markdown(report)


def test_reproducibility_names_networks_params_versions_and_no_commit_of_its_own(whole):
    two, report = whole
    found = report["reproducibility"]
    assert found["commit"] is None
    assert found["params"] == PARAMS
    assert found["versions"] == {"python": "3.11.7"}
    assert found["networks"] == {one.name: one.model.network_sha256 for one in two}


def test_a_model_s_part_is_of_its_own_test_images(whole):
    two, report = whole
    for one, part in zip(two, report["models"], strict=True):
        assert part["n"] == len(one.test) == 30
        right = float((one.test.truth == one.probabilities.argmax(axis=1)).mean())
        assert part["metrics"]["accuracy"]["value"] == round(right, 6)
        assert part["validation_log_loss"] == one.validation_log_loss
        assert len(part["errors"]) == min(12, round(30 * (1 - right)))
        assert len(part["examples"]) == 6
        assert part["best_epoch"] == 25
