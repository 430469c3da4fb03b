import json
from dataclasses import replace

import numpy as np
import pytest

from cxr.core.records import Audit, Result, as_json, from_json, waive
from cxr.dataset.audits.sources import SourceCount
from cxr.dataset.audits.splits import FlowStep, SplitReport
from cxr.evaluation.assess import assess_model
from cxr.evaluation.audits import AuditFigures
from cxr.evaluation.audits.subgroups import HeldOutSource
from cxr.evaluation.audits.subject import BaselineFigures
from cxr.evaluation.records import CountedStep, Epoch, Report, ShownImage, Waiver
from cxr.evaluation.report import (
    assemble,
    banner,
    confident_errors,
    examples,
    limitations,
    metrics_json,
    report_model,
    too_few_images,
    top_metrics,
    verdict,
)
from cxr.evaluation.reporting.page import render_markdown
from cxr.evaluation.stats.classification import compare_models
from cxr.evaluation.stats.intervals import Interval
from tests.evaluation.cases import CLASSES, PREDICTED, TRUTH, candidate, probabilities
from tests.evaluation.reporting.fake import report
from tests.evaluation.reporting.fake_model import model
from tests.evaluation.stats.cases import outputs

MAX_KEYS = 40  # what a terminal shows of a diff
UNKNOWN = Interval(None)
BARE = from_json(AuditFigures, model("cnn1", 3.2, 0))
AUDITED = replace(
    BARE,
    dependence=replace(BARE.dependence, lung_dependence=None),
    sources=(HeldOutSource("a", 0, UNKNOWN, UNKNOWN, "refitted", True),),
)


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
    return report_model(one, screening=True, measured=assess_model(one.test, one.decisions, 1), audited=AUDITED)


@pytest.fixture(scope="module")
def parts():
    return [*report().models, sample_sized(), sample_sized(skill=40.0, name="vgg16")]


def test_keys_are_counted_as_dvc_counts_them():
    assert count_keys({"a": 1, "b": {"c": 0.5, "d": {"e": None}}, "f": "word", "g": {}}) == 4


def test_no_model_has_more_keys_than_a_diff_can_show(parts):
    for part in parts:
        assert 20 < count_keys(metrics_json(part)) <= MAX_KEYS == 40


def test_every_model_has_the_same_keys_whatever_could_be_measured(parts):
    assert len({json.dumps(sorted(paths(metrics_json(part)))) for part in parts}) == 1


def test_what_could_not_be_measured_is_null_and_the_rest_a_number_or_word(parts):
    flat = metrics_json(parts[-1])
    assert flat["lung_dependence"] is None
    assert flat["worst_source_recall"] is None
    assert flat["balanced_accuracy"] == 1.0
    assert flat["balanced_accuracy_low"] is None  # no resample differs where all is right
    assert json.loads(json.dumps(flat, allow_nan=False)) == flat


def test_figures_are_those_of_the_report(parts):
    part, flat = parts[0], metrics_json(parts[0])
    assert flat["balanced_accuracy"] == part.metrics.balanced_accuracy.value
    assert flat["balanced_accuracy_low"] == part.metrics.balanced_accuracy.low
    assert flat["ece"] == part.calibration.after.ece15
    assert flat["sensitivity"]["covid"] == part.classes[0].sensitivity.value
    assert flat["operating_points"]["covid_spec95"]["specificity"] == 0.947531
    assert flat["answered"] == {"share": 0.910204, "error_rate": 0.031204}
    assert flat["referred"] == {"share": 0.084354, "errors_share": 0.416667}
    assert flat["rejected"] == {"share": 0.005442}
    assert [flat[f"accuracy_{end}"] for end in ("low", "high")] == [
        part.metrics.accuracy.low,
        part.metrics.accuracy.high,
    ]
    assert (flat["test_images"], flat["initialisation"]) == (735, "random")


def test_what_dvc_shows_of_a_network_fits_a_terminal_and_is_of_the_operating_point_in_force(parts):
    shown = top_metrics(parts[0], "covid_spec95")
    assert shown["specificity"] == 0.947531
    assert shown["referred"] == 0.084354
    for part in parts:
        shown = top_metrics(part, "covid_sens95")
        columns = ("reports/metrics/resnet50.json", *shown)
        assert sum(max(len(name), 7) + 4 for name in columns) - 4 <= 120
        assert json.loads(json.dumps(shown, allow_nan=False)) == shown


def test_the_worst_source_is_among_those_of_enough_images(parts):
    sources = tuple(
        HeldOutSource("a", 40, Interval(recall), UNKNOWN, "refitted", small)
        for recall, small in ((0.9, False), (0.1, True), (0.7, False))
    )
    assert metrics_json(replace(parts[0], sources=sources))["worst_source_recall"] == 0.7


def test_where_everything_is_referred_no_answer_can_be_wrong(parts):
    gated = replace(parts[0].answering.gated, referred=Interval(1.0), error_answered=None)
    flat = metrics_json(replace(parts[0], answering=replace(parts[0].answering, gated=gated)))
    assert (flat["referred"]["share"], flat["answered"]["error_rate"]) == (1.0, None)


BASELINES = BaselineFigures(Interval(0.831, 0.804, 0.858), Interval(0.58, 0.55, 0.61), 0.952, 0.951, 0.333333)


def audit_record(result, id="appearance_floor", fixable=True, name="Lift"):
    return Audit(id, name, fixable).record(result, "Found.", "Limit.", {})


def reached(one, accuracy, gain):
    """Return what is said of a network with this balanced accuracy and this gain over overall grey."""
    metrics, over = replace(one.metrics, balanced_accuracy=accuracy), replace(one.gain, over_appearance=gain)
    return replace(one, metrics=metrics, gain=over)


@pytest.fixture
def chosen(parts):
    return reached(parts[0], Interval(0.95, 0.93, 0.965), Interval(0.119, 0.091, 0.148))


def test_the_headline_says_what_was_reached_beside_the_floor_and_what_cannot_be_shown(chosen):
    headline = verdict(chosen, [], BASELINES).headline
    assert "balanced accuracy of 95.0 % (95 % interval 93.0 % to 96.5 %)" in headline
    assert "11.9 points [9.1, 14.8] above what overall grey alone gives (83.1 %)" in headline
    assert headline.endswith("Whether it detects disease, these data cannot show.")


def test_a_network_below_the_floor_is_said_to_be_below_with_its_bounds_turned(chosen):
    below = reached(chosen, Interval(0.79), Interval(-0.039, -0.08, 0.002))
    assert "3.9 points [-0.2, 8.0] below what overall grey" in verdict(below, [], BASELINES).headline


@pytest.mark.parametrize(
    ("result", "doubted"),
    [(Result.WARN, True), (Result.NOT_MEASURABLE, True), (None, True), (Result.PASS, False)],
)
def test_collections_are_blamed_only_where_the_audit_of_them_says_so(chosen, result, doubted):
    audits = [audit_record(result, "class_by_source_sample", fixable=False)] if result else []
    said = (verdict(chosen, audits, BASELINES).headline, banner(BASELINES, audits)[0])
    assert [("disease" in one) for one in said] == [doubted, doubted]
    assert ("are not known" in said[1]) == (result in (None, Result.NOT_MEASURABLE))


def test_figures_without_bounds_are_written_without_them(chosen):
    bare = reached(chosen, Interval(1.0), Interval(0.169))
    headline = verdict(bare, [], replace(BASELINES, appearance=Interval(0.831))).headline
    assert "balanced accuracy of 100.0 %. That is 16.9 points above" in headline
    assert "None" not in headline


def test_the_banner_says_first_what_cannot_be_shown_and_names_the_oracle():
    first, second = banner(BASELINES, [])
    assert first.startswith("These figures do not show that a network detects disease")
    assert "95.2 % accuracy" in second
    assert "83.1 %" in second
    assert banner(replace(BASELINES, source=None), []) == (first,)


@pytest.mark.parametrize(
    ("results", "level"),
    [
        ([Result.PASS, Result.NOT_MEASURABLE, Result.NOT_APPLICABLE], "fine"),
        ([Result.PASS, Result.WARN], "warn"),
        ([Result.WARN, Result.FAIL], "stop"),
        ([], "fine"),
    ],
)
def test_the_worst_audit_gives_the_level(chosen, results, level):
    assert verdict(chosen, [audit_record(result) for result in results], BASELINES).level == level


def test_a_waived_failure_does_not_stop_and_is_not_called_failed(chosen):
    failed = audit_record(Result.FAIL)
    stopped = verdict(chosen, [failed], BASELINES)
    assert (stopped.level, stopped.sentences[-1]) == ("stop", "Failed: Lift.")
    waived = waive([failed], {"appearance_floor": "a smoke test"})
    passed = verdict(chosen, waived, BASELINES)
    assert (passed.level, len(passed.sentences)) == ("fine", 1)


def test_audits_are_named_once_failures_before_warnings(chosen):
    audits = [
        audit_record(Result.WARN, "texture", fixable=False, name="Texture"),
        audit_record(Result.FAIL),
        audit_record(Result.WARN, "texture", fixable=False, name="Texture"),
    ]
    assert verdict(chosen, audits, BASELINES).sentences[1:] == ("Failed: Lift.", "Warned: Texture.")


def test_what_is_referred_and_the_error_of_the_rest_are_told(chosen):
    assert verdict(chosen, [], BASELINES).sentences == (
        "It refers 8.4 % of the test images to a reader and rejects 0.5 %. Of what it answers, 3.1 % is wrong.",
    )
    found = chosen.answering
    gated = replace(found.gated, referred=Interval(1.0), rejected=Interval(0.0), error_answered=None)
    said = verdict(replace(chosen, answering=replace(found, gated=gated)), [], BASELINES).sentences[0]
    assert said.startswith("It refers 100.0 % of the test images to a reader.")
    assert "wrong" not in said


def test_too_few_images_for_the_sets_are_said_with_the_remedy_and_are_a_warning(chosen):
    data = report().data
    assert too_few_images(data, 0.02) == ""
    few = replace(
        data, classes_by_split=data.classes_by_split | {"validation": {"covid": 10, "normal": 9, "viral_pneumonia": 60}}
    )
    sentence = too_few_images(few, 0.02)
    assert sentence.endswith("then run 'dvc repro' again.")
    assert "10 of covid, 9 of normal; these suffice from evaluate.alpha 0.1 on" in sentence
    assert "It takes 49 validation images of each class" in sentence
    assert too_few_images(few, 0.1) == ""
    said = verdict(chosen, [], BASELINES, sentence)
    assert (said.level, said.sentences[1]) == ("warn", sentence)
    assert sentence in limitations(few, "covid", 0.02)


SPLIT = SplitReport(
    flow=(FlowStep("in the data", dict.fromkeys(CLASSES, 50), 0, ""),),
    classes_by_split={
        "train": dict.fromkeys(CLASSES, 30),
        "validation": dict.fromkeys(CLASSES, 10),
        "test": dict.fromkeys(CLASSES, 10),
    },
    groups=150,
    sha256="d" * 64,
    sources=(SourceCount("covid", "a", 50),),
    audits=(),
)
PARAMS = {"seed": 7, "evaluate": {"target": "covid"}}


def record(stage, result, waiver=None):
    return replace(audit_record(result), stage=stage, waiver=waiver)


def assembled(audits=()):
    two = [candidate("cnn1", skill=1.0), candidate("vgg16", seed=2, skill=3.0)]
    models = [
        report_model(one, screening=one is two[1], measured=assess_model(one.test, one.decisions, 1), audited=AUDITED)
        for one in two
    ]
    pairs = compare_models([one.test for one in two], [one.probabilities for one in two], 1)
    return two, assemble(two, models, BASELINES, list(audits), SPLIT, pairs, PARAMS, patients_known=0)


@pytest.fixture(scope="module")
def whole():
    return assembled([record("split", Result.PASS), record("evaluate", Result.FAIL, "a smoke test")])


def test_the_report_is_json_without_nan_and_names_the_screening_model(whole):
    report = whole[1]
    written = json.loads(json.dumps(as_json(report), allow_nan=False))
    assert from_json(Report, written) == report
    assert as_json(from_json(Report, written)) == written
    assert report.screening_model == "vgg16"
    assert [one.screening for one in report.models] == [False, True]
    assert report.verdict.headline.startswith("vgg16 sorts the 30 test images")


def test_a_waiver_stands_in_the_report_with_its_reason(whole):
    report = whole[1]
    assert report.waivers == (Waiver("evaluate", "Lift", "a smoke test"),)
    assert report.verdict.level == "fine"
    assert report.audit_counts == {"fail": 1, "pass": 1}
    assert assembled()[1].waivers == ()


def test_data_flow_and_learning_curves_are_handed_on(whole):
    report = whole[1]
    assert report.flow == (CountedStep("in the data", dict.fromkeys(CLASSES, 50), 0, "", 150),)
    assert report.data.images_per_split == {"train": 90, "validation": 30, "test": 30}
    assert report.data.shares == dict.fromkeys(CLASSES, 0.333333)
    assert report.data.classes == dict.fromkeys(CLASSES, 50)
    assert report.learning_curves[2] == Epoch("vgg16", 1, 1.0, 0.4, 0.9, 0.5)
    assert len(report.learning_curves) == 4


def test_an_ensemble_has_members_no_epochs_and_no_learning_curve(whole):
    trained = whole[0][0]
    joined = {"members": ["a", "b"], "training": {"epochs": None, "best_epoch": None}}
    model = replace(trained.model, description=trained.model.description | joined)
    one = replace(trained, history=None, model=model)
    part = report_model(one, screening=True, measured=assess_model(one.test, one.decisions, 1), audited=AUDITED)
    assert (part.members, part.epochs, part.best_epoch) == (("a", "b"), None, None)
    report = assemble([one], [part], BASELINES, [], SPLIT, [], PARAMS, 0)
    assert report.learning_curves == ()
    assert "| cnn1 (screening) | random | 208,403 | 0.078 | none | none |" in render_markdown(report)


def test_reproducibility_names_networks_params_versions_and_no_commit_of_its_own(whole):
    two, report = whole
    found = report.reproducibility
    assert found.commit is None
    assert found.params == PARAMS
    assert found.versions == {"python": "3.11.7"}
    assert found.networks == {one.name: one.model.network_sha256 for one in two}


def test_a_model_s_part_is_of_its_own_test_images(whole):
    two, report = whole
    for one, part in zip(two, report.models, strict=True):
        assert part.n == len(one.test) == 30
        right = float((one.test.truth == one.probabilities.argmax(axis=1)).mean())
        assert part.metrics.accuracy.value == round(right, 6)
        assert part.validation_log_loss == one.validation_log_loss
        assert len(part.errors) == min(12, round(30 * (1 - right)))
        assert len(part.examples) == 6
        assert part.confusion_rows[0][0] == round(part.confusion[0][0] / sum(part.confusion[0]), 6)
        assert part.best_epoch == 25


def truly(*truth, files=None):
    said = outputs(truth=np.asarray(truth))
    return said if files is None else replace(said, files=np.array(files))


def test_errors_come_by_loss_the_largest_first():
    values = probabilities(0.8)
    values[3] = [0.01, 0.98, 0.01]  # covid, called normal with 0.98
    errors = confident_errors(truly(*TRUTH), values)
    assert [entry.file for entry in errors] == ["3.png", "9.png"]
    assert errors[0] == ShownImage("3.png", "covid", "normal", 0.98, round(-np.log(0.01), 6))


def test_equal_losses_come_by_file_whatever_their_order():
    values = probabilities(0.8)
    assert [one.file for one in confident_errors(truly(*TRUTH), values)] == ["3.png", "9.png"]
    files = [f"{9 - row}.png" for row in range(10)]
    assert [one.file for one in confident_errors(truly(*TRUTH, files=files), values)] == ["0.png", "6.png"]


def test_no_more_than_twelve_errors_are_shown_and_they_are_the_worst():
    truth = np.zeros(40, np.int64)
    sure = np.linspace(0.5, 0.89, 40)
    values = np.stack([(1 - sure) / 2, sure, (1 - sure) / 2], axis=1)
    errors = confident_errors(truly(*truth), values)
    assert [one.file for one in errors] == [f"{row}.png" for row in range(39, 27, -1)]


def test_without_errors_none_is_shown():
    assert confident_errors(truly(*PREDICTED), probabilities()) == ()


def test_an_impossible_answer_has_a_finite_loss():
    values = np.array([[0.0, 1.0, 0.0]])
    assert confident_errors(truly(0), values)[0].loss == round(-np.log(1e-12), 6)


def test_examples_are_of_median_probability_two_of_each_class():
    truth = np.repeat([0, 1, 2], 5)
    own = np.tile([0.9, 0.5, 0.7, 0.6, 0.8], 3)
    values = np.repeat((1 - own)[:, None] / 2, 3, axis=1)
    values[np.arange(15), truth] = own
    shown = examples(truly(*truth), values)
    assert [one.actual for one in shown] == [name for name in CLASSES for _ in range(2)]
    assert [one.probability for one in shown[:2]] == [0.7, 0.8]
    assert [one.file for one in shown[:2]] == ["2.png", "4.png"]


def test_a_class_of_one_image_gives_one_example_and_an_absent_one_none():
    shown = examples(truly(0, 1, 1), np.full((3, 3), 1 / 3))
    assert [one.actual for one in shown] == ["covid", "normal"]
