import re

import numpy as np
import pytest

from cxr.audit import Result, audit, waive
from cxr.evaluation.stats.conformal import smallest_members
from cxr.evaluation.verdict import BANNER, banner, verdict
from tests.evaluation.reporting.fake_model import interval, model

FLOOR = {"floor": interval(0.831, 0.027), "frame": interval(0.58, 0.03), "oracle": 0.952, "chance": 0.333333}
BARE = {"low": None, "high": None}


def record(result, id="appearance_floor", fixable=True, name="Lift"):
    return audit(id, name, result, "Found.", "Limit.", fixable=fixable, values={})


@pytest.fixture
def models():
    chosen, other = model("cnn1", 3.2, 0), model("vgg16", 3.0, 1)
    chosen["metrics"]["balanced_accuracy"] = {"value": 0.95, "low": 0.93, "high": 0.965}
    chosen["lift"]["over_floor"] = {"value": 0.119, "low": 0.091, "high": 0.148}
    return [other, chosen]


def test_the_headline_says_what_was_reached_beside_the_floor_and_what_cannot_be_shown(models):
    assert verdict(models, [], FLOOR)["headline"] == (
        "cnn1 sorts 735 images of the collections it was trained on with a balanced accuracy of 95.0 % (95 % interval "
        "93.0 % to 96.5 %), 11.9 [9.1, 14.8] points above what overall grey alone gives (83.1 %). Whether it detects "
        "disease, these data cannot show."
    )


def test_figures_without_bounds_are_written_without_them(models):
    models[1]["metrics"]["balanced_accuracy"] = {"value": 1.0, **BARE}
    models[1]["lift"]["over_floor"] = {"value": 0.169, **BARE}
    floor = FLOOR | {"floor": {"value": 0.831, **BARE}}
    headline = verdict(models, [], floor)["headline"]
    assert "balanced accuracy of 100.0 %, 16.9 points above" in headline
    assert "None" not in headline


def test_the_banner_says_first_what_cannot_be_shown_and_names_the_oracle():
    first, second = banner(FLOOR)
    assert first == BANNER
    assert first.startswith("These figures do not show that a network detects disease")
    assert "the source collection gives 95.2 % accuracy" in second
    assert "83.1 %" in second
    assert banner(FLOOR | {"oracle": None}) == [BANNER]


@pytest.mark.parametrize(
    ("results", "level"),
    [
        ([Result.PASS, Result.NOT_MEASURABLE, Result.NOT_APPLICABLE], "fine"),
        ([Result.PASS, Result.WARN], "warn"),
        ([Result.WARN, Result.FAIL], "stop"),
        ([], "fine"),
    ],
)
def test_the_worst_audit_gives_the_level(models, results, level):
    assert verdict(models, [record(result) for result in results], FLOOR)["level"] == level


def test_a_waived_failure_does_not_stop_and_is_not_called_failed(models):
    failed = record(Result.FAIL)
    stopped = verdict(models, [failed], FLOOR)
    assert (stopped["level"], stopped["sentences"][-1]) == ("stop", "Failed: Lift.")
    waived = waive([failed], {"appearance_floor": "a smoke test"})
    passed = verdict(models, waived, FLOOR)
    assert (passed["level"], len(passed["sentences"])) == ("fine", 1)


def test_audits_are_named_once_failures_before_warnings(models):
    audits = [
        record(Result.WARN, "texture", fixable=False, name="Texture"),
        record(Result.FAIL),
        record(Result.WARN, "texture", fixable=False, name="Texture"),
    ]
    assert verdict(models, audits, FLOOR)["sentences"][1:] == ["Failed: Lift.", "Warned: Texture."]


def test_what_is_referred_and_the_error_of_the_rest_are_told(models):
    assert verdict(models, [], FLOOR)["sentences"] == [
        "It refers 8.4 % of the test images to a reader and rejects 0.5 %. Of what it answers, 3.1 % is wrong."
    ]
    models[1]["answering"]["gated"] |= {"referred": interval(1.0, 0), "rejected": interval(0.0, 0)}
    models[1]["answering"]["gated"]["error_answered"] = None
    said = verdict(models, [], FLOOR)["sentences"][0]
    assert said.startswith("It refers 100.0 % of the test images to a reader.")
    assert "wrong" not in said


@pytest.mark.parametrize("alpha", [0.02, 0.05, 0.07, 0.1, 0.29])
def test_where_all_is_referred_it_says_from_how_many_images_on_a_set_leaves_a_class_out(models, alpha):
    models[1]["conformal"] |= {"alpha": alpha}
    models[1]["conformal"]["referred"] |= {"share": interval(1.0, 0), "error_answered": None}
    said = verdict(models, [], FLOOR)["sentences"][0]
    n = int(re.search(r"leave out a class from (\d+) validation images", said)[1])
    least = [smallest_members(np.zeros(count, np.int64), np.full((count, 1), 0.5), alpha)[0] for count in (n - 1, n)]
    assert least == [0, 0.5]
