from dataclasses import replace

import numpy as np
import pytest

from cxr.decisions import disagreeing, parse_decisions
from cxr.ensemble import ensemble, write_ensemble
from cxr.ensemble_members import read_members
from cxr.errors import ModelError, ParamsError
from cxr.evaluation.candidates import read_candidate
from cxr.evaluation.outputs import run_network
from cxr.evaluation.params import EvaluateParams
from cxr.evaluation.screening_model import choose, choose_fast
from cxr.network import softmax
from tests.ensembles import member
from tests.evaluation.cases import PARAMS, candidate, judged, planes, split_table, trained


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


def test_the_fast_network_goes_by_its_name(two):
    assert choose_fast(two, EvaluateParams(screening_model="vgg16")).name == "cnn1"
    assert choose_fast(two, EvaluateParams(fast_model="vgg16")).name == "vgg16"
    with pytest.raises(ParamsError, match=r"evaluate\.fast_model is 'best'; expected one of cnn1, vgg16"):
        choose_fast(two, EvaluateParams(fast_model="best"))


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
    read = read_candidate(trained(tmp_path / "cnn1"), table, images, PARAMS)
    assert read.name == "cnn1"
    assert read.history["val_loss"].tolist() == [0.9, 0.6]
    assert np.array_equal(read.outputs.logits, run_network(read.model, table, images).logits)
    assert parse_decisions(read.decided).network == read.model.network_sha256


def test_an_ensemble_is_a_candidate_without_history(tmp_path):
    table = split_table(20)
    for number, name in enumerate(("cnn1", "cnn3")):
        member(tmp_path, name, number)
    write_ensemble(tmp_path / "ensemble", ensemble(read_members(tmp_path, ("cnn1", "cnn3"))))
    read = read_candidate(tmp_path / "ensemble", table, planes(table), PARAMS)
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
            read_candidate(folder, split_table(10), planes(split_table(10)), PARAMS)
