import dataclasses
import json
import time

import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import DataError
from cxr.core.files import write_json
from cxr.core.manifest import read_images, write_images, write_table
from cxr.core.records import Result, as_json
from cxr.dataset.audits import AuditedRelease
from cxr.dataset.audits.splits import LEAK_ACROSS_SPLITS, SplitReport
from cxr.dataset.duplicates import LABEL_CONFLICTS
from cxr.evaluation.assess import assess_model, read_inputs, with_lungs
from cxr.evaluation.stats.classification import compare_models, measure
from cxr.evaluation.stats.intervals import Interval
from cxr.inference.lungs import load_lungs
from tests.evaluation.cases import planes, split_table
from tests.evaluation.stats.cases import CLASSES, decisions, outputs
from tests.evaluation.toy_gates import toy_lungs

VALIDATION = outputs(588, seed=1, split="validation")
DECISIONS = decisions(VALIDATION)


def test_figures_agree_with_the_plain_metrics():
    test = outputs(300, seed=2)
    found = assess_model(test, DECISIONS, 7)
    plain = measure(test.truth, DECISIONS.probabilities(test.logits), CLASSES)
    for name in ("accuracy", "balanced_accuracy", "macro_auc", "log_loss"):
        assert getattr(found.metrics, name).value == pytest.approx(plain[name], abs=1e-6)
        assert getattr(found.metrics, name).low < plain[name] < getattr(found.metrics, name).high
    assert found.metrics.macro_f1 == plain["macro_f1"]
    for one in found.classes:
        assert one.sensitivity.value == plain["sensitivity"][one.name]
        assert one.specificity.value == plain["specificity"][one.name]
    assert np.sum(found.confusion) == found.n == 300


def test_a_report_of_735_images_takes_seconds_and_is_the_same_twice():
    test = outputs(735, seed=2, group=np.arange(735) // 2)
    start = time.perf_counter()
    first = assess_model(test, DECISIONS, 7)
    assert time.perf_counter() - start < 10
    assert json.dumps(as_json(first), allow_nan=False) == json.dumps(as_json(assess_model(test, DECISIONS, 7)))
    assert first.metrics.log_loss != assess_model(test, DECISIONS, 8).metrics.log_loss


def test_curves_are_few_enough_points_to_draw_and_keep_their_ends():
    found = assess_model(outputs(900, seed=4, skill=1.0), DECISIONS, 7)
    for curve in found.roc:
        assert len(curve.fpr) == len(curve.tpr) <= 200
        assert (curve.fpr[0], curve.tpr[0], curve.fpr[-1], curve.tpr[-1]) == (0, 0, 1, 1)
    for curve in found.pr:
        assert len(curve.recall) == len(curve.precision) <= 200
    assert sum(sum(one.counts) for one in found.distributions) == 900 * 3
    assert all(len(one.edges) == 21 for one in found.distributions)


@pytest.mark.parametrize(
    ("truth", "skill"),
    [
        (np.arange(35) % 2, 3.0),
        (np.zeros(12, int), 3.0),
        (np.repeat(np.arange(3), 10), 50.0),
        (np.array([1]), 3.0),
        (np.repeat(np.arange(3), 2), -30.0),
    ],
    ids=["a class without images", "one class", "all right", "one image", "all wrong"],
)
def test_what_small_sets_cannot_say_is_null(truth, skill):
    test = outputs(truth=truth, skill=skill)
    found = assess_model(test, DECISIONS, 7)
    json.dumps(as_json(found), allow_nan=False)
    assert found.metrics.accuracy.value is not None
    for number, one in enumerate(found.classes):
        assert (one.sensitivity.value is None) == (number not in truth)
    missing = len(set(truth.tolist())) < 3
    assert (found.metrics.macro_auc.value is None) == missing
    if skill == 50:
        assert found.metrics.balanced_accuracy == Interval(1.0)
        assert found.conformal.referred.share_of_errors_referred is None
        assert all(one.auc == Interval(1.0) for one in found.classes)


def test_groups_widen_the_interval():
    test = outputs(300, seed=6, skill=2.0, truth=np.repeat(np.arange(3), 100))
    copied = dataclasses.replace(test, logits=test.logits[np.arange(300) // 10 * 10], group=np.arange(300) // 10)
    apart = dataclasses.replace(copied, group=np.arange(300))
    grouped, single = (assess_model(one, DECISIONS, 7).metrics.balanced_accuracy for one in (copied, apart))
    assert grouped.high - grouped.low > 2 * (single.high - single.low)


def test_a_better_network_is_told_from_a_worse_one_and_a_twin_is_not():
    good, bad = outputs(600, seed=2, skill=4.0, name="good"), outputs(600, seed=3, skill=1.0, name="bad")
    twin = dataclasses.replace(good, name="twin")
    tests = [good, bad, twin]
    pairs = compare_models(tests, [DECISIONS.probabilities(one.logits) for one in tests], 7)
    assert [(one.a, one.b) for one in pairs] == [("good", "bad"), ("good", "twin"), ("bad", "twin")]
    better, same, _ = pairs
    assert better.accuracy_gap.low > 0
    assert better.auc_gap.low > 0
    assert better.log_loss_gap.high < 0
    assert better.p <= better.p_holm < 0.001
    assert better.auc_p_holm < 0.001
    net = better.only_a_right - better.only_b_right
    assert better.accuracy_gap.value == pytest.approx(net / 600, abs=1e-6)
    assert 0 < better.detectable_gap_images < net
    assert better.detectable_gap_points == pytest.approx(better.detectable_gap_images / 6, abs=1e-6)
    assert same.accuracy_gap == Interval(0.0)
    assert (same.p, same.auc_p, same.detectable_gap_images) == (1, 1, None)
    json.dumps(as_json(pairs), allow_nan=False)


def test_networks_of_different_images_are_not_compared():
    first, second = outputs(30), outputs(30, truth=np.arange(30)[::-1] % 3)
    with pytest.raises(DataError, match="did not answer the same images"):
        compare_models([first, second], [DECISIONS.probabilities(one.logits) for one in (first, second)], 7)
    assert compare_models([first], [DECISIONS.probabilities(first.logits)], 7) == []


def passed(audit):
    return audit.record(Result.PASS, "Nothing.", "Any fails.", {})


@pytest.fixture
def project(tmp_path):
    """Give what earlier stages leave; the table is in another order than the array."""
    table = split_table(5).iloc[::-1]
    write_table(tmp_path / "split.csv", table)
    write_images(tmp_path / "prepared/images.npy", planes(table))
    masks = np.zeros((15, 16, 16), np.uint8)
    masks[3, 2:5, 2:5] = 255
    write_images(tmp_path / "prepared/masks.npy", masks)
    write_table(tmp_path / "refits.csv", pd.DataFrame({"held_out": ["", "a"], "file": ["x", "y"]}))
    write_json(tmp_path / "reports/data.json", AuditedRelease((passed(LABEL_CONFLICTS),), (), {}))
    write_json(tmp_path / "reports/split.json", SplitReport((), {}, 0, "", (), (passed(LEAK_ACROSS_SPLITS),)))
    return tmp_path


def read(project):
    return read_inputs(project / "prepared", project / "split.csv", project / "reports", project / "refits.csv")


def test_masks_are_those_of_the_table_s_rows(project):
    found = read(project)
    assert found.masks.dtype == np.bool_
    assert found.masks.any(axis=(1, 2)).nonzero()[0].tolist() == [11]
    assert found.table["index"].tolist()[11] == 3
    assert found.masks[11].sum() == 9


def test_a_release_without_masks_has_none(project):
    write_images(project / "prepared/masks.npy", np.zeros((0, 16, 16), np.uint8))
    assert read(project).masks is None


def test_lungs_are_the_segmenters_of_all_images_where_the_release_lacks_the_mask_of_one(project):
    segmenter = load_lungs(toy_lungs(project / "lungs", 16))
    some = read(project)
    found = with_lungs(some, segmenter)
    bright = read_images(project / "prepared/images.npy")[some.table["index"].to_numpy()] > 127
    assert np.array_equal(found.masks, bright)
    assert (some.predicted, found.predicted) == (False, True)
    assert bright.any()
    assert not bright.all()
    write_images(project / "prepared/masks.npy", np.full((15, 16, 16), 255, np.uint8))
    whole = with_lungs(read(project), segmenter)
    assert whole.masks.all()
    assert not whole.predicted


def test_sides_are_the_longer_ones_and_an_empty_cell_is_text(project):
    table = split_table(5)
    table.loc[0, ["width", "height"]] = [100, 500]
    write_table(project / "split.csv", table)
    assert read(project).sides.tolist()[:2] == [500, 299]
    assert read(project).refits["held_out"].tolist() == ["", "a"]


def test_audits_of_earlier_stages_keep_their_order_and_name_their_stage(project):
    assert [(one.stage, one.id) for one in read(project).earlier_audits] == [
        ("prepare", "label_conflicts"),
        ("split", "leak_across_splits"),
    ]


@pytest.mark.parametrize(
    "name", ["refits.csv", "split.csv", "reports/data.json", "reports/split.json", "prepared/images.npy"]
)
def test_an_absent_input_says_what_to_run(project, name):
    (project / name).unlink()
    with pytest.raises(DataError, match="dvc repro"):
        read(project)


def test_a_report_that_is_no_json_is_refused(project):
    (project / "reports/split.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        read(project)


def test_a_release_without_a_source_to_hold_out_leaves_an_empty_table(project):
    (project / "refits.csv").write_text("held_out,file,actual,probability_covid\n")
    assert len(read(project).refits) == 0


def test_an_empty_file_of_refits_is_one_sentence(project):
    (project / "refits.csv").write_text("")
    with pytest.raises(DataError, match="cannot be read"):
        read(project)
