import json

import pytest

from cxr.evaluation.assembling import model_part
from cxr.evaluation.flat import flat_metrics
from cxr.evaluation.stats.measuring import measure_model
from tests.evaluation.cases import candidate
from tests.evaluation.reporting.fake import report
from tests.evaluation.reporting.fake_model import interval

MAX_KEYS = 40  # what a terminal shows of a diff
UNKNOWN = {"value": None, "low": None, "high": None}
AUDITED = {
    "lift": {"over_floor": interval(0.1, 0.05), "over_frame": {"value": 0.2, "low": None, "high": None}},
    "dependence": {"lung_dependence": None},
    "sources": [{"source": "a", "n": 0, "recall": UNKNOWN, "small": True}],
}


def count_keys(value):
    """Return the number of numbers and words, as DVC counts them."""
    return sum(map(count_keys, value.values())) if isinstance(value, dict) else 1


def paths(value, before=()):
    if not isinstance(value, dict):
        return {before}
    return {path for key, inner in value.items() for path in paths(inner, (*before, key))}


def sample_sized(skill=2.0, name="cnn1"):
    """Return the part of a model whose test split has ten images a class, so that much cannot be measured."""
    one = candidate(name, skill=skill)
    return model_part(one, screening=True, measured=measure_model(one.test, one.decisions, 1), audited=AUDITED)


@pytest.fixture(scope="module")
def parts():
    return [*report()["models"], sample_sized(), sample_sized(skill=40.0, name="vgg16")]


def test_keys_are_counted_as_dvc_counts_them():
    assert count_keys({"a": 1, "b": {"c": 0.5, "d": {"e": None}}, "f": "word", "g": {}}) == 4


def test_no_model_has_more_keys_than_a_diff_can_show(parts):
    for part in parts:
        assert 20 < count_keys(flat_metrics(part)) <= MAX_KEYS == 40


def test_every_model_has_the_same_keys_whatever_could_be_measured(parts):
    assert len({json.dumps(sorted(paths(flat_metrics(part)))) for part in parts}) == 1


def test_what_could_not_be_measured_is_null_and_the_rest_a_number_or_word(parts):
    flat = flat_metrics(parts[-1])
    assert flat["lung_dependence"] is None
    assert flat["worst_source_recall"] is None
    assert flat["balanced_accuracy"] == 1.0
    assert flat["balanced_accuracy_low"] is None  # no resample differs where all is right
    assert json.loads(json.dumps(flat, allow_nan=False)) == flat


def test_figures_are_those_of_the_report(parts):
    part, flat = parts[0], flat_metrics(parts[0])
    assert flat["balanced_accuracy"] == part["metrics"]["balanced_accuracy"]["value"]
    assert flat["balanced_accuracy_low"] == part["metrics"]["balanced_accuracy"]["low"]
    assert flat["ece"] == part["calibration"]["after"]["ece15"]
    assert flat["sensitivity"]["covid"] == part["classes"][0]["sensitivity"]["value"]
    assert flat["operating_points"]["covid_spec95"]["specificity"] == 0.947531
    assert flat["answered"] == {"share": 0.910204, "error_rate": 0.031204}
    assert flat["referred"] == {"share": 0.084354, "errors_share": 0.416667}
    assert flat["rejected"] == {"share": 0.005442}
    assert [flat[f"accuracy_{end}"] for end in ("low", "high")] == [
        part["metrics"]["accuracy"][end] for end in ("low", "high")
    ]
    assert (flat["test_images"], flat["initialisation"]) == (735, "random")


def test_the_worst_source_is_among_those_of_enough_images(parts):
    sources = [
        {"recall": interval(recall, 0.1), "small": small} for recall, small in ((0.9, False), (0.1, True), (0.7, False))
    ]
    assert flat_metrics(parts[0] | {"sources": sources})["worst_source_recall"] == 0.7


def test_where_everything_is_referred_no_answer_can_be_wrong(parts):
    gated = parts[0]["answering"]["gated"] | {"referred": interval(1.0, 0.0), "error_answered": None}
    flat = flat_metrics(parts[0] | {"answering": {"gated": gated}})
    assert (flat["referred"]["share"], flat["answered"]["error_rate"]) == (1.0, None)
