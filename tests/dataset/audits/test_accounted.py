"""No file is lost without a word."""

import pandas as pd
import pytest

from cxr.audit import Result
from cxr.dataset.audits.accounted import flow_adds_up
from cxr.dataset.audits.flow import release_flow, sample_flow

PREPARED = pd.DataFrame(
    {"file": [f"{i}.png" for i in range(6)], "label": ["a", "a", "a", "b", "b", "b"], "pixels_sha256": list("xxyzuv")}
)
SPLIT = PREPARED.iloc[[1, 2, 3, 4]].assign(split=["train", "validation", "train", "test"])


def steps(labels=None):
    labels = labels or dict(zip(PREPARED["file"], PREPARED["label"], strict=True)) | {"broken.png": "a"}
    return [*release_flow(labels, {"broken.png": "truncated"}, {"opacity": 2}), *sample_flow(PREPARED, SPLIT)]


def result(flow, prepared=PREPARED, split=SPLIT):
    record = flow_adds_up(flow, prepared, split)
    return record["result"], record["found"]


def test_a_whole_flow_passes_and_says_how_many_are_used():
    assert result(steps()) == (
        Result.PASS,
        "9 files are in the release; 4 are used, and of every other one it is known why not.",
    )


def test_a_report_of_other_data_fails():
    labels = dict(zip(PREPARED["file"], "aabbbb", strict=True)) | {"broken.png": "a"}
    failed, found = result(steps(labels))
    assert failed == Result.FAIL
    assert "the readable files are not those of the manifest" in found


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_step_that_hides_a_loss_fails(number):
    flow = steps()
    flow[number] = flow[number] | {"dropped": flow[number]["dropped"] - 1}
    failed, found = result(flow)
    assert failed == Result.FAIL
    assert flow[number]["step"] in found


def test_a_row_that_the_manifest_does_not_have_fails():
    foreign = SPLIT.assign(file=["1.png", "2.png", "3.png", "foreign.png"])
    assert "foreign.png is in the split" in result(steps(), split=foreign)[1]
