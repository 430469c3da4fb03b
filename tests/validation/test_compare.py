"""Two models of a few numbers on one run: who is worse, what may not be compared, what half precision costs."""

from dataclasses import replace

import numpy as np
import pytest

from cxr.core.errors import DataError, ModelError
from cxr.core.files import read_json, write_json
from cxr.core.image import pixels_digest
from cxr.core.manifest import write_images, write_table
from cxr.evaluation.stats.classification import Predictions
from cxr.evaluation.stats.intervals import Interval
from cxr.evaluation.write import MAX_BYTES
from cxr.inference.decisions import parse_decisions
from cxr.inference.model_folder import load_model, packaged_folder
from cxr.validation.compare import (
    ROUNDS,
    PairedFigure,
    PairedPredictions,
    PairedSpeed,
    Quartiles,
    ReportedMetrics,
    compare,
    compare_fp16,
    differences,
    is_worse,
    pair_predictions,
    release_verdict,
    reported_metrics,
    time_beside,
)
from tests import drawn_networks
from tests.decision_forms import decisions_form
from tests.drawn_networks import drawn_model
from tests.evaluation.audits.exported import SIDE
from tests.evaluation.cases import CLASSES, planes, split_table, trained


@pytest.fixture
def model(tmp_path):
    return load_model(trained(tmp_path / "models" / "cnn1"))


@pytest.fixture
def run(tmp_path):
    """Give a project's folder with work/, its split table and its planes."""
    table = split_table(40)
    images = planes(table)
    write_table(tmp_path / "work/split.csv", table)
    (tmp_path / "work/prepared").mkdir()
    write_images(tmp_path / "work/prepared/images.npy", images)
    return tmp_path, table, images


def answers(right, sure=0.8, groups=None):
    """Answers to 30 images, ten a class, of which `right`, a share of each class, are right."""
    truth = np.repeat([0, 1, 2], len(right) // 3)
    predicted = np.where(right, truth, (truth + 1) % 3)
    probabilities = np.full((len(truth), 3), (1 - sure) / 2)
    probabilities[np.arange(len(truth)), predicted] = sure
    return Predictions(CLASSES, truth, probabilities, np.arange(len(truth)) if groups is None else groups)


def both(new, old, **more):
    return PairedPredictions(answers(new, **more), answers(old, **more), 0, old_may_know=False)


def shares(*each, n=40):
    return np.concatenate([np.arange(n) < share * n for share in each])


def test_differences_are_new_less_old_and_know_which_side_is_worse():
    found = differences(both(shares(0.5, 0.9, 0.9), shares(1, 0.9, 0.9)), "covid", seed=1)
    assert list(found) == ["accuracy", "balanced_accuracy", "covid_sensitivity", "log_loss"]
    covid = found["covid_sensitivity"]
    assert (covid.new, covid.old, covid.difference.value) == (0.5, 1.0, -0.5)
    assert covid.difference.low < -0.5 < covid.difference.high < 0
    assert found["log_loss"].difference.low > 0
    assert [is_worse(name, one.difference) for name, one in found.items()] == [True] * 4
    turned = differences(both(shares(1, 0.9, 0.9), shares(0.5, 0.9, 0.9)), "covid", seed=1)
    assert [is_worse(name, one.difference) for name, one in turned.items()] == [False] * 4


def test_an_interval_that_holds_nought_is_not_worse_and_equal_answers_do_not_vary():
    one_less = np.arange(120) != 0
    found = differences(both(one_less, np.ones(120, bool)), "covid", seed=1)
    assert found["accuracy"].difference.value < 0
    assert found["accuracy"].difference.high == 0
    assert not is_worse("accuracy", found["accuracy"].difference)
    same = differences(both(one_less, one_less), "covid", seed=1)
    assert same["accuracy"].difference == Interval(0.0)
    assert not any(is_worse(name, one.difference) for name, one in same.items())


def test_groups_are_resampled_and_not_images():
    new, old = shares(0.5, 0.9, 0.9), shares(1, 0.9, 0.9)
    alone = differences(both(new, old), "covid", seed=1)["accuracy"].difference
    in_tens = differences(both(new, old, groups=np.arange(120) // 10), "covid", seed=1)["accuracy"].difference
    assert in_tens.high - in_tens.low > 1.5 * (alone.high - alone.low)


def knowing(model, images):
    """Give the model decisions that say it was trained on `images`."""
    form = decisions_form(training_pixels=[pixels_digest(plane)[:16] for plane in images])
    return replace(model, decisions=parse_decisions(form), operating_point="covid_sens95")


def test_what_the_old_model_was_trained_on_is_left_out(model, run):
    _, table, images = run
    test = table[table["split"] == "test"]
    known = knowing(model, images[test["index"].to_numpy()[:5]])
    found = pair_predictions(model, known, table, lambda _: images)
    assert (len(found.new), len(found.old), found.known_to_old) == (len(test) - 5, len(test) - 5, 5)
    assert not found.old_may_know
    assert pair_predictions(known, model, table, lambda _: images).old_may_know
    assert (
        pair_predictions(model, knowing(model, images[table["split"] == "train"]), table, lambda _: images).known_to_old
        == 0
    )


def test_a_class_that_the_old_model_knows_whole_leaves_nothing_to_compare(model, run):
    _, table, images = run
    covid = table[(table["split"] == "test") & (table["label"] == "covid")]["index"].to_numpy()
    with pytest.raises(DataError, match=r"no image of covid that .* was not trained on \(8 were left out\)"):
        pair_predictions(model, knowing(model, images[covid]), table, lambda _: images)


def test_models_of_other_classes_or_planes_are_not_compared(model, run):
    _, table, images = run
    turned = replace(model, description=model.description | {"classes": list(reversed(CLASSES))})
    with pytest.raises(ModelError, match="only models with the same classes in the same order"):
        pair_predictions(model, turned, table, lambda _: images)
    with pytest.raises(ModelError, match=f"takes planes of 128 pixels, work/prepared has {SIDE}"):
        pair_predictions(model, load_model(packaged_folder()), table, lambda _: images)


def test_a_model_is_not_worse_than_itself_once_its_audits_are_known(model, run):
    folder, *_ = run
    report = compare(model, model, folder)
    assert report.images == 24
    assert [line.condition for line in report.conditions if not line.holds] == [
        "no audit fails that did not fail before"
    ]
    audited = with_card(model, audits={"attention": "pass", "texture": "fail"})
    assert compare(audited, audited, folder).not_worse
    report = compare(audited, model, folder)
    assert not report.not_worse
    assert [line.found for line in report.conditions if not line.holds] == ["texture"]
    assert report.new.failed_audits == ("texture",)
    assert report.old.failed_audits is None


def with_card(model, **card):
    path = model.folder / "model.json"
    evaluation = {"worst_source_recall": 0.5, "lift_over_frame": 0.1, "lung_dependence": 0.9, "card": card}
    write_json(path, read_json(path) | {"evaluation": evaluation})
    return load_model(model.folder)


def test_what_a_model_states_is_read_and_what_it_does_not_is_null(model):
    plain = reported_metrics(model)
    assert (plain.failed_audits, plain.worst_source_recall) == (None, None)
    assert (plain.lift_over_frame, plain.lung_dependence) == (None, None)
    files = ("network.xml", "network.bin")
    assert plain.bytes == sum((model.folder / name).stat().st_size for name in files)
    said = reported_metrics(with_card(model, audits={"b": "fail", "a": "fail", "c": "warn"}))
    assert (said.failed_audits, said.worst_source_recall, said.gflop) == (("a", "b"), 0.5, 0.078)


def test_what_a_gate_costs_is_counted_with_the_network():
    packaged = load_model(packaged_folder())
    gate = read_json(packaged.folder / "gate.json")["gflop_per_image"]
    assert reported_metrics(packaged).gflop == pytest.approx(packaged.description["gflop_per_image"] + gate)
    assert gate > 0


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ({}, []),
        ({"bytes": MAX_BYTES + 1}, ["at most 3,000,000 bytes"]),
        ({"gflop": 0.31}, ["at most 0.3 GFLOP an image"]),
        ({"gflop": None}, ["at most 0.3 GFLOP an image"]),
        ({"failed_audits": ("x",)}, ["no audit fails that did not fail before"]),
        ({"failed_audits": ("before",)}, []),
    ],
)
def test_size_cost_and_audits_are_conditions(change, failing):
    even = PairedFigure(0.9, 0.9, Interval(0.0, -0.1, 0.1))
    figures = dict.fromkeys(("accuracy", "balanced_accuracy", "covid_sensitivity", "log_loss"), even)
    old = ReportedMetrics("cnn1", ("before",), 0.5, 0.1, 0.9, MAX_BYTES, 0.3)
    new = replace(old, **{"failed_audits": ()} | change)
    assert [line.condition for line in release_verdict(figures, new, old, "covid") if not line.holds] == failing


@pytest.mark.parametrize(
    ("new", "old", "holds"),
    [
        (Interval(0.10, 0.08, 0.12), Interval(0.30, 0.26, 0.33), True),
        (Interval(0.30, 0.26, 0.33), Interval(0.29, 0.25, 0.32), True),
        (Interval(0.30, 0.26, 0.33), Interval(0.10, 0.08, 0.12), False),
        (None, Interval(0.10, 0.08, 0.12), False),
        (Interval(0.30, 0.26, 0.33), None, True),
    ],
)
def test_a_model_that_is_wrong_more_often_at_hospitals_it_never_saw_is_worse(new, old, holds):
    reported = ReportedMetrics("cnn1", (), 0.5, 0.1, 0.9, MAX_BYTES, 0.3)
    even = PairedFigure(0.9, 0.9, Interval(0.0, -0.1, 0.1))
    figures = dict.fromkeys(("accuracy", "balanced_accuracy", "covid_sensitivity", "log_loss"), even)
    found = release_verdict(
        figures, replace(reported, unseen_alarms=new), replace(reported, unseen_alarms=old), "covid"
    )
    (line,) = [line for line in found if "never saw" in line.condition]
    assert line.holds is holds


def test_times_are_taken_in_turns_and_ratios_within_a_round(model):
    ticks = iter([0, 1, 1, 3] * ROUNDS)  # the new one takes a second, the old one two
    found = time_beside(model.network, model.network, planes(split_table(5)), clock=lambda: next(ticks))
    assert found.ratio == Quartiles(2.0, 2.0, 2.0)
    assert found.new.median == pytest.approx(1000 / 15, abs=1e-3)
    assert found.old.median == pytest.approx(2000 / 15, abs=1e-3)
    assert next(ticks, None) is None


def test_half_precision_of_a_network_in_float32_is_smaller_and_hardly_another(tmp_path):
    found = compare_fp16(load_model(drawn_model(tmp_path / "drawn")), planes(split_table(5), drawn_networks.SIDE))
    assert 0 < found.largest_change < 0.05
    assert found.bytes < 0.6 * found.bytes_float32
    assert found.images == 15


def times_as_fast(ratio):
    return PairedSpeed(*(Quartiles(one, one, one) for one in (1.0, ratio, ratio)))


@pytest.mark.parametrize(("ratio", "taken"), [(1.6, True), (1.4, False)])
def test_half_precision_is_taken_where_it_is_fast_and_decides_alike(model, ratio, taken, monkeypatch):
    monkeypatch.setattr("cxr.validation.compare.time_beside", lambda *_: times_as_fast(ratio))
    found = compare_fp16(model, planes(split_table(5)))
    assert (found.decisions_changed, found.taken) == (0, taken)


def test_half_precision_that_decides_otherwise_is_not_taken(model, monkeypatch):
    sides = iter([np.zeros((15, 3), np.float32), np.eye(3, dtype=np.float32)[np.ones(15, int)]])
    monkeypatch.setattr("cxr.validation.compare.time_beside", lambda *_: times_as_fast(9.0))
    monkeypatch.setattr("cxr.inference.network.Network.logits", lambda *_: next(sides))
    found = compare_fp16(model, planes(split_table(5)))
    assert (found.decisions_changed, found.taken) == (15, False)
