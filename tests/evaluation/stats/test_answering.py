"""What becomes of images: counted by hand on ten."""

import numpy as np
import pytest

from cxr.decisions import NOT_SUSPECTED, REFER, Decision, ReferReason
from cxr.evaluation.gating import FLAGS, Judged
from cxr.evaluation.stats.answering import answering_section, paths
from cxr.evaluation.stats.answers import Answers
from tests.evaluation.cases import CLASSES, TRUTH, probabilities

SUSPECTED = Decision(("covid",), "covid_suspected")
NOT = Decision(("normal",), NOT_SUSPECTED)
OUT = Decision(("covid",), REFER, ReferReason.OUT_OF_DISTRIBUTION)
APART = Decision(("normal",), REFER, ReferReason.DISAGREEMENT)
# Wrong are the images 3 (covid) and 9 (viral), both called normal. Image 3 is answered, 9 referred, 0 and 5 rejected.
DECIDED = [None, SUSPECTED, SUSPECTED, NOT, OUT, None, NOT, APART, NOT, APART]


@pytest.fixture
def test():
    return Answers(CLASSES, TRUTH, probabilities(), np.arange(10))


@pytest.fixture
def judged():
    reasons = np.full(10, "", "<U20")
    reasons[[0, 5]] = ["blank", "not_a_radiograph"]
    flags = np.zeros((10, len(FLAGS)), bool)
    flags[4, FLAGS.index("out_of_distribution")] = True
    flags[[4, 6], FLAGS.index("cropped")] = True
    return Judged(reasons, flags)


def values(shares):
    return {name: share["value"] for name, share in shares.items() if share["value"]}


def test_shares_and_errors_are_those_that_are_counted_by_hand(test):
    found = paths(test, "covid", DECIDED)
    assert [found[key]["value"] for key in ("rejected", "referred", "answered")] == [0.2, 0.3, 0.5]
    assert (found["errors"], found["errors_rejected"], found["errors_referred"]) == (2, 0, 1)
    assert (found["share_of_errors_referred"]["value"], found["share_of_errors_rejected"]["value"]) == (0.5, 0.0)
    assert found["error_answered"]["value"] == 0.2  # image 3 of 1, 2, 3, 6 and 8
    assert found["missed"]["value"] == 0.25  # the same one, of four with covid


def test_every_share_has_its_wilson_interval(test):
    found = paths(test, "covid", DECIDED)["answered"]
    assert (found["low"], found["high"]) == pytest.approx((0.236593, 0.763407), abs=1e-6)


def test_reasons_and_flags_are_shares_of_all_images(test, judged):
    found = answering_section(test, "covid", DECIDED, judged)
    assert values(found["rejected_by"]) == {"blank": 0.1, "not_a_radiograph": 0.1}
    assert values(found["referred_by"]) == {"out_of_distribution": 0.1, "disagreement": 0.2}
    assert values(found["flags"]) == {"cropped": 0.2, "out_of_distribution": 0.1}
    assert list(found["referred_by"]) == ["out_of_distribution", "empty_set", "several_classes", "disagreement"]


def test_where_nothing_is_answered_or_wrong_the_shares_are_null(test):
    assert paths(test, "covid", [None] * 10)["error_answered"] is None
    sure = Answers(CLASSES, TRUTH, np.eye(3)[TRUTH], np.arange(10))
    found = paths(sure, "covid", DECIDED)
    assert (found["errors"], found["share_of_errors_referred"]) == (0, None)
