"""Decisions are fitted on validation; of train only the pixels' digests are kept, and nothing of test."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import DataError, ModelError, ParamsError
from cxr.core.image import pixels_digest
from cxr.evaluation.candidates import (
    EvaluateParams,
    choose,
    fit_on_validation,
    judge_images,
    read_candidate,
)
from cxr.inference.decisions import disagreeing, parse_decisions
from cxr.inference.ensemble import ensemble, read_members, write_ensemble
from cxr.inference.gate import FLAGS, Flag, Sign, load_gate, unjudged
from cxr.inference.network import softmax
from cxr.inference.outputs import apply_decisions, run_network
from tests.ensembles import member
from tests.evaluation.cases import CLASSES, PARAMS, candidate, judged, model, planes, saved, split_table, trained
from tests.evaluation.toy_gates import THRESHOLDS, toy_gate


@pytest.fixture
def two():
    return [candidate("cnn1", skill=1.0), candidate("vgg16", skill=3.0)]


def test_the_lowest_validation_loss_is_chosen_unless_a_name_is_given(two):
    assert two[1].validation_log_loss < two[0].validation_log_loss
    assert choose(two, EvaluateParams(screening_model="best")).name == "vgg16"
    assert choose(two, EvaluateParams(screening_model="cnn1")).name == "cnn1"


def test_of_equal_networks_the_first_is_chosen():
    assert choose([candidate("cnn3"), candidate("cnn1")], EvaluateParams()).name == "cnn3"


def test_a_name_that_no_network_has_is_refused_with_those_there_are(two):
    with pytest.raises(ParamsError, match=r"evaluate\.screening_model is 'cnn2'; expected best or one of cnn1, vgg16"):
        choose(two, EvaluateParams(screening_model="cnn2"))


def test_the_validation_loss_is_that_of_uncalibrated_probabilities(two):
    validation = two[0].outputs.of("validation")
    of_truth = softmax(validation.logits)[np.arange(len(validation)), validation.truth]
    assert two[0].validation_log_loss == round(float(-np.log(of_truth).mean()), 6)


def test_the_test_split_has_no_say_in_the_choice(two):
    chosen = choose(two, EvaluateParams()).name
    test = two[1].outputs.split == "test"
    hopeless = np.where(test[:, None], -two[1].outputs.logits, two[1].outputs.logits)
    worse = replace(two[1], outputs=replace(two[1].outputs, logits=hopeless))
    assert (worse.test.logits.argmax(axis=1) == worse.test.truth).mean() < 0.5
    assert choose([two[0], worse], EvaluateParams()).name == chosen
    assert worse.validation_log_loss == two[1].validation_log_loss


def test_probabilities_are_calibrated_and_of_the_test_split(two):
    temperature = two[0].decided["temperature"]
    assert temperature != 1
    assert two[0].probabilities == pytest.approx(softmax(two[0].test.logits.astype(float) / temperature))
    assert len(two[0].probabilities) == len(two[0].test) == 30


def test_a_trained_folder_is_read_run_and_decided_on(tmp_path):
    table = split_table(20)
    images = planes(table)
    read = read_candidate(trained(tmp_path / "cnn1"), table, lambda _: images, PARAMS)
    assert read.name == "cnn1"
    assert read.history["val_loss"].tolist() == [0.9, 0.6]
    assert np.array_equal(read.outputs.logits, run_network(read.model, table, images).logits)
    assert parse_decisions(read.decided).network == read.model.network_sha256


def test_decisions_of_a_network_that_learnt_from_validation_are_fitted_on_what_others_said(tmp_path):
    table, folder = split_table(20), trained(tmp_path / "cnn1")
    own = read_candidate(folder, table, lambda _: planes(table), PARAMS)
    asked = table[table["split"] == "validation"]
    elsewhere = [{"file": f"north/{number}.png", "label": "normal"} for number in range(8)]
    rows = pd.concat([asked, pd.DataFrame(elsewhere)], ignore_index=True)
    given = {"network": "last_layer", "held_out": "", "split": "validation", "actual": rows["label"]}
    logits = {f"logit_{label}": (rows["label"] == label) * 9.0 for label in CLASSES}
    digests = [f"{number:064x}" for number in range(len(rows))]
    said = rows[["file"]].assign(**given, plane_sha256=digests, **logits)
    said.to_csv(folder / "calibration.csv", index=False)
    read = read_candidate(folder, table, lambda _: planes(table), PARAMS)
    assert read.decided["temperature"] == 1 < own.decided["temperature"]
    assert read.decided["operating_points"] != own.decided["operating_points"]
    assert read.validation_log_loss < 0.01 < own.validation_log_loss
    assert set(read.decided["training_pixels"]) == {*own.decided["training_pixels"], *(d[:16] for d in digests)}
    assert read.decided["reference"]["predictions"] == {label: len(asked) // 3 for label in CLASSES}
    said[1:].to_csv(folder / "calibration.csv", index=False)
    with pytest.raises(ModelError, match=r"calibration\.csv has no answer for"):
        read_candidate(folder, table, lambda _: planes(table), PARAMS)


def test_an_ensemble_is_a_candidate_without_history(tmp_path):
    table = split_table(20)
    for number, name in enumerate(("cnn1", "cnn3")):
        member(tmp_path, name, number)
    write_ensemble(tmp_path / "ensemble", ensemble(read_members([tmp_path / "cnn1", tmp_path / "cnn3"])))
    read = read_candidate(tmp_path / "ensemble", table, lambda _: planes(table), PARAMS)
    assert (read.name, read.history) == ("ensemble", None)
    assert read.outputs.members.shape == (60, 2, 3)
    decided = read.decisions.decide(
        read.probabilities, read.decisions.default_point, disagreeing=disagreeing(read.test.members)
    )
    assert read.test_decided == decided


def test_the_gate_s_word_is_taken_for_the_test_split(two):
    one = replace(two[0], judged=judged({3: "blank"}, {}, two[0]))
    assert [number for number, decision in enumerate(one.test_decided) if decision is None] == [3]
    assert np.flatnonzero(one.test_judged.rejected).tolist() == [3]
    assert not two[0].test_judged.rejected.any()


def test_a_folder_without_history_says_what_is_missing(tmp_path):
    folder = trained(tmp_path / "cnn1")
    for spoil in (lambda path: path.write_text(""), lambda path: path.unlink()):
        spoil(folder / "history.csv")
        with pytest.raises(ModelError, match=r"cnn1 has no history\.csv that can be read \(.*\); train it again"):
            read_candidate(folder, split_table(10), lambda _: planes(split_table(10)), PARAMS)


@pytest.fixture
def table():
    table = split_table()
    sides = np.random.default_rng(3).integers(200, 400, (2, len(table)))
    return table.assign(width=sides[0], height=sides[1])


def decided(table, said=None, images=None, params=PARAMS):
    said, images = said or saved(table), planes(table) if images is None else images
    return fit_on_validation(model(), said, table, images, params)


def altered(table, split):
    """Return table, outputs and planes in which every fact of one split is another."""
    rows = (table["split"] == split).to_numpy()
    said, images, table, random = saved(table), planes(table), table.copy(), np.random.default_rng(5)
    logits, truth = said.logits.copy(), said.truth.copy()
    logits[rows] = random.normal(size=(rows.sum(), 3))
    truth[rows] = random.permutation(truth[rows])
    images[rows] = images[rows] // 3
    table.loc[rows, ["width", "height"]] = 1000
    return table, replace(said, logits=logits, truth=truth), images


def test_nothing_of_the_test_split_is_looked_at(table):
    assert decided(*altered(table, "test")) == decided(table)


def test_of_the_training_split_only_the_digests_are_looked_at(table):
    before, after = decided(table), decided(*altered(table, "train"))
    assert not set(after.pop("training_pixels")) & set(before.pop("training_pixels"))
    assert after == before


@pytest.mark.parametrize("key", ["temperature", "operating_points", "conformal", "reference"])
def test_the_validation_split_decides(table, key):
    assert decided(*altered(table, "validation"))[key] != decided(table)[key]


def test_the_order_of_the_rows_changes_nothing(table):
    other = table.sample(frac=1, random_state=1).reset_index(drop=True)
    order, said = other["index"].to_numpy(), saved(table)
    columns = ("files", "index", "truth", "split", "source", "group", "logits", "features")
    shuffled = replace(said, **{name: getattr(said, name)[order] for name in columns})
    again, first = decided(other, shuffled), decided(table, said)
    # A loss summed in another order differs in its last digits, and with it the temperature and all thresholds.
    assert again["temperature"] == pytest.approx(first["temperature"], rel=1e-4)
    assert again["conformal"]["minimum"] == pytest.approx(first["conformal"]["minimum"], rel=1e-3)
    assert again["training_pixels"] == first["training_pixels"]
    for key in ("predictions", "side", "brightness"):
        assert again["reference"][key] == first["reference"][key]


def test_the_digests_are_of_the_training_planes_sorted_and_each_once(table):
    images = planes(table)
    images[1] = images[0]  # both of train
    pixels = decided(table, images=images)["training_pixels"]
    digests = [pixels_digest(plane)[:16] for plane in images]
    assert pixels == sorted({digests[row] for row in table.index[table["split"] == "train"]})
    assert len(pixels) == 89
    assert not {digests[row] for row in table.index[table["split"] != "train"]} & set(pixels)


def test_the_reference_describes_the_validation_images(table):
    images = planes(table)
    form = decided(table, images=images)
    reference, rows = form["reference"], table[table["split"] == "validation"]
    said = saved(table).of("validation")
    probabilities = parse_decisions(form).probabilities(said.logits)
    assert reference["images"] == form["validation_images"] == 30
    counts = [int((probabilities.argmax(axis=1) == number).sum()) for number in range(3)]
    assert reference["predictions"] == dict(zip(CLASSES, counts, strict=True))
    longest = rows[["width", "height"]].max(axis=1)
    grey = images[rows["index"]].mean(axis=(1, 2)) / 255
    for key, values in (("side", longest), ("brightness", grey), ("confidence", probabilities.max(axis=1))):
        assert len(reference[key]) == 101
        assert [reference[key][place] for place in (0, 50, 100)] == pytest.approx(
            [values.min(), np.median(values), values.max()], abs=1e-6
        )


def test_the_form_can_be_read_and_keeps_every_digit_of_a_threshold(table):
    form = decided(table)
    read = parse_decisions(form)
    assert (read.target, read.alpha, read.classes) == ("covid", 0.1, CLASSES)
    assert form["network"] == model().network_sha256
    validation = saved(table).of("validation")
    threshold = read.points["covid_sens95"].threshold
    found = np.unique(read.probabilities(validation.logits)[:, 0])
    assert threshold in (found[:-1] + found[1:]) / 2  # not rounded: halfway between two of the probabilities


def test_the_target_may_be_another_class(table):
    form = decided(table, params=EvaluateParams(target="normal"))
    assert list(form["operating_points"]) == ["normal_sens95", "normal_spec95"]
    assert form["default_operating_point"] == "normal_sens95"


def test_a_target_that_is_no_class_is_named_with_those_that_are(table):
    with pytest.raises(ParamsError, match=r"evaluate\.target is 'covid19'; expected one of covid, normal, viral"):
        decided(table, params=EvaluateParams(target="covid19"))


def test_without_a_validation_split_nothing_is_decided(table):
    rest = table[table["split"] != "validation"]
    with pytest.raises(DataError, match="no rows for validation"):
        decided(rest, images=planes(table))


SIDE = 16
# What is bright is foreign to the toy gate: from 0.7 unusual, from 0.75 no radiograph.
MEANS = (100, 183, 200, 20, 240, 100)


@pytest.fixture
def gate(tmp_path):
    return load_gate(toy_gate(tmp_path / "gate", SIDE))


@pytest.fixture
def table_of_facts():
    """Give six rows in another order than the array: the first is too long, the second too small."""
    rows = split_table(5).head(6)
    sides = [299, 50, 299, 299, 299, 299]
    return rows.assign(index=[5, 0, 1, 2, 3, 4], width=sides, height=[599, *sides[1:]])


@pytest.fixture
def images():
    grain = np.random.default_rng(3).integers(-9, 10, (6, SIDE, SIDE))
    return (np.array(MEANS)[:, None, None] + grain).astype(np.uint8)


def flags(row):
    return [str(flag) for flag, is_seen in zip(FLAGS, row, strict=True) if is_seen]


def test_limits_come_first_then_no_radiograph_then_marks(gate, table_of_facts, images):
    found = judge_images(gate, table_of_facts, images)
    assert found.reasons.tolist() == ["extreme_aspect", "too_small", "", "not_a_radiograph", "", "not_a_radiograph"]
    assert [flags(row) for row in found.flags] == [
        [], [], ["out_of_distribution"], [], ["underexposed"], ["overexposed"],
    ]  # fmt: skip
    assert [Flag.OUT_OF_DISTRIBUTION in flags for flags in found.raised] == [False, False, True, False, False, False]


def test_colour_and_a_blank_plane_are_reasons(gate, table_of_facts, images):
    images[0] = 100
    table_of_facts = table_of_facts.assign(width=299, height=299, colour=[0.5, 0, 0, 0, 0, 0])
    assert judge_images(gate, table_of_facts, images).reasons.tolist()[:2] == ["colour_photo", "blank"]


def test_blocks_change_nothing(gate, table_of_facts, images, monkeypatch):
    whole = judge_images(gate, table_of_facts, images)
    monkeypatch.setattr("cxr.evaluation.candidates.BLOCK", 2)
    parts = judge_images(gate, table_of_facts, images)
    assert parts.reasons.tolist() == whole.reasons.tolist()
    assert np.array_equal(parts.flags, whole.flags)


def test_a_gate_for_other_planes_is_refused(gate, table_of_facts):
    with pytest.raises(ModelError, match="takes planes of 16 pixels, work/prepared has 20; run: dvc repro"):
        judge_images(gate, table_of_facts, planes(table_of_facts, 20))


def test_a_threshold_itself_is_enough(tmp_path, table_of_facts, images):
    exact = float(load_gate(toy_gate(tmp_path / "a", SIDE)).scores(images[1:2])[0, -1])
    same = load_gate(toy_gate(tmp_path / "b", SIDE, THRESHOLDS | {Sign.OUT_OF_DISTRIBUTION: exact}))
    above = np.nextafter(exact, 2)
    more = load_gate(toy_gate(tmp_path / "c", SIDE, THRESHOLDS | {Sign.OUT_OF_DISTRIBUTION: float(above)}))
    raised = [judge_images(one, table_of_facts, images).raised[2] for one in (same, more)]
    assert [Flag.OUT_OF_DISTRIBUTION in flags for flags in raised] == [True, False]


def test_decisions_heed_the_gate_and_rejected_images_have_none():
    one = candidate()
    seen = {1: ("out_of_distribution",), 2: ("cropped",), 3: ("cropped", "inverted")}
    said = judged({0: "blank"}, seen, one).where(one.outputs.split == "test")
    plain = apply_decisions(one.test, one.decisions, unjudged(len(one.test)))
    found = apply_decisions(one.test, one.decisions, said)
    assert found[0] is None
    assert (found[1].word, found[1].reason, found[1].classes) == ("refer", "out_of_distribution", plain[1].classes)
    assert (found[3].word, found[3].reason) == ("refer", "inverted")
    assert (found[2], found[4:]) == (plain[2], plain[4:])
