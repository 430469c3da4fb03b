import json
import re
from datetime import date

import pytest
from ruamel.yaml import YAML

from cxr.core.errors import ParamsError
from cxr.core.params import (
    KNOWN_KEYS,
    TRAINING,
    ClassesParams,
    CommonParams,
    Section,
    SeedParams,
    read_params,
    section,
    top_level,
    with_values,
)
from cxr.dataset.prepare import OutOfScopeParams, PrepareParams
from cxr.dataset.sampling import BalanceParams, SplitParams
from cxr.evaluation.candidates import EvaluateParams, evaluate_params
from cxr.inference.ensemble import EnsembleParams
from cxr.models import architecture
from tests.imports import ROOT
from tests.networks import NAMES
from tests.params_page import TopLevel

SHIPPED, RELEASE = ROOT / "params.yaml", ROOT / "release/params.yaml"


def kinds():
    from cxr.training.last_layer import LastLayerParams
    from cxr.training.params import GateParams, LungParams, StudentParams, TeachersParams
    from cxr.training.refit_plan import LeaveHospitalOutParams, LeaveSourceOutParams

    found = {"prepare": PrepareParams, "balance": BalanceParams, "split": SplitParams, "evaluate": EvaluateParams}
    found |= {"leave_source_out": LeaveSourceOutParams, "leave_hospital_out": LeaveHospitalOutParams}
    found |= {"ensemble": EnsembleParams, "last_layer": LastLayerParams}
    found |= {"train_gate": GateParams, "train_lungs": LungParams, "out_of_scope": OutOfScopeParams}
    found |= {"train_teachers": TeachersParams, "train_student": StudentParams}
    return found | {f"train_{name}": architecture(name).params for name in NAMES}


@pytest.mark.parametrize("paths", [[SHIPPED], [SHIPPED, RELEASE]])
def test_the_shipped_params_are_valid_and_have_no_section_that_nobody_reads(paths):
    values = read_params(*paths)
    shared = top_level(values, TopLevel)
    for name in set(values) - set(TopLevel.model_fields):
        own = section(values, name, kinds()[name])
        assert getattr(own, "side", 0) <= shared.image.side
    assert evaluate_params(values).target in shared.classes


def test_a_section_of_a_later_file_takes_the_place_of_the_whole_section():
    first, both = read_params(SHIPPED), read_params(SHIPPED, RELEASE)
    assert both["train_cnn1"] == read_params(RELEASE)["train_cnn1"] != first["train_cnn1"]
    assert both["train_cnn3"] == first["train_cnn3"]


def test_numbers_are_read_as_dvc_reads_them(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("train_cnn1: {learning_rate: 1e-4}\n")
    assert read_params(path)["train_cnn1"]["learning_rate"] == YAML(typ="safe").load("1e-4") == 0.0001


def test_the_known_keys_are_the_common_ones_and_the_stages():
    both = [YAML(typ="safe").load(ROOT / file)["stages"] for file in ("dvc.yaml", "release/dvc.yaml")]
    others = {stage for stages in both for stage in stages if not stage.startswith(TRAINING)} - {"compare"}
    assert set(KNOWN_KEYS) == {*TopLevel.model_fields, *others}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sed: 8", "no stage reads 'sed'; did you mean seed? Known keys: seed, "),
        ("mine: 1", "no stage reads 'mine'. Known keys: seed, classes, image, "),
        ("3: 1", "no stage reads '3'. Known keys: "),
    ],
)
def test_a_key_that_no_stage_reads_is_refused(text, sentence, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(f"seed: 7\n{text}\n")
    with pytest.raises(ParamsError) as error:
        read_params(path)
    assert f"{path}: {sentence}" in str(error.value)


def test_a_target_that_is_no_class_is_refused_before_the_first_stage(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("classes: [sano, tuberculosis]\nevaluate: {target: covid}\n")
    with pytest.raises(
        ParamsError, match=r"evaluate\.target is 'covid', which is none of the classes sano, tuberculosis"
    ):
        read_params(path)
    path.write_text("classes: [sano, tuberculosis]\nevaluate: {target: tuberculosis}\n")
    assert evaluate_params(read_params(path)).target == "tuberculosis", "no other section has to name it"


def test_a_misspelt_key_within_a_section_of_a_section_is_named_with_the_nearest():
    text = "{seed: 7, classes: [a, b], image: {sied: 64}, runtime: {intra_op_thread: 2}}"
    with pytest.raises(ParamsError) as error:
        top_level(YAML(typ="safe").load(text), TopLevel)
    assert "image.sied: extra inputs are not permitted, got 64; did you mean side?" in str(error.value)
    assert "got 2; did you mean intra_op_threads?" in str(error.value)


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("neumonía", "its folder in snake case: [covid, neumonia]"),
        ("Viral Pneumonia", "its folder in snake case: [covid, viral_pneumonia]"),
        ("新冠", "named with letters from a to z"),
    ],
)
def test_a_class_that_no_folder_gives_is_refused_with_the_name_that_one_gives(name, spelt):
    with pytest.raises(ParamsError) as error:
        top_level({"seed": 7, "classes": ["covid", name]}, CommonParams)
    assert str(error.value).startswith(f"params.yaml: classes: a class is {spelt}, got [covid, {name}]")


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        (
            ["covid", "Covid", "normal"],
            "the names covid and Covid are one class, covid; expected each once, as its folder in snake case: "
            "[covid, normal], ",
        ),
        (
            ["covid", "normal", "covid"],
            "the names covid and covid are one class, covid; expected each once, as its folder in snake case: "
            "[covid, normal], ",
        ),
        (
            ["Viral Pneumonia", "viral-pneumonia"],
            "the names Viral Pneumonia and viral-pneumonia are one class, viral_pneumonia; expected each once, as its "
            "folder in snake case: two classes or more, ",
        ),
        (["covid", ""], "a class is named with letters from a to z, "),
    ],
)
def test_names_of_one_class_are_refused_and_no_list_is_proposed_that_is_wrong_itself(classes, sentence, tmp_path):
    with pytest.raises(ParamsError) as error:
        top_level({"classes": classes}, ClassesParams)
    assert str(error.value).startswith(f"params.yaml: classes: {sentence}got [{', '.join(classes)}]")
    path = tmp_path / "params.yaml"
    path.write_text(f"classes: {json.dumps(classes)}\nevaluate: {{target: flu}}\n")
    with pytest.raises(ParamsError) as error:
        read_params(path)
    assert f"{path}: classes: {sentence}got [" in str(error.value)
    assert "of the classes covid, covid" not in str(error.value)


FOLDERS = "[Covid Positivo, Neumonía, Sano]"
SPELT = "covid_positivo, neumonia, sano"
MISSPELT = f"classes: a class is its folder in snake case: [{SPELT}], got {FOLDERS}"


@pytest.mark.parametrize(
    ("target", "more"),
    [
        (
            "covid",
            f"; evaluate.target is 'covid', which is none of the classes {SPELT}; name the class that is looked for",
        ),
        (
            "Covid Positivo",
            f"; evaluate.target is 'Covid Positivo', which is none of the classes {SPELT}; "
            "did you mean covid_positivo?",
        ),
        ("covid_positivo", ""),
    ],
)
def test_names_of_folders_in_place_of_classes_are_one_message_with_all_that_is_wrong(target, more, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(f"classes: {FOLDERS}\nevaluate: {{target: {target}}}\n", encoding="utf-8")
    with pytest.raises(ParamsError) as error:
        read_params(path)
    assert str(error.value) == f"{path}: {MISSPELT}{more}"


def test_a_list_is_not_called_too_short_for_its_wrong_items_alone():
    for classes, count in (([1, 2], 2), (["covid"], 1), ([7], 2)):
        with pytest.raises(ParamsError) as error:
            top_level({"classes": classes}, ClassesParams)
        assert str(error.value).count("got ") == count
        assert ("at least 2 items" in str(error.value)) == (len(classes) < 2)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("split: {test: 0.9}", "params.yaml: split.test: input should be less than or equal to 0.5, got 0.9"),
        (
            "split: {tset: 0.2}",
            "split.tset: extra inputs are not permitted, got 0.2; did you mean test? Known keys: test, validation, ",
        ),
        ("split: {test: '0.2'}", "split.test: input should be a valid number, got '0.2'"),
        ("splits: {}", "expected one with test, validation, folds, fold, waivers; did you mean splits?"),
        ("other: 1", "params.yaml has no section 'split'; expected one with test, validation, folds, fold, waivers"),
    ],
)
def test_a_wrong_value_is_named_with_section_and_key(text, sentence):
    with pytest.raises(ParamsError) as error:
        section(YAML(typ="safe").load(text), "split", SplitParams)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("alpha: 0.5", "evaluate.alpha: input should be less than 0.5, got 0.5"),
        ("alpha: 0", "evaluate.alpha: input should be greater than 0, got 0"),
        ("waivers: {texture: 3}", "evaluate.waivers.texture: input should be a valid string, got 3"),
        ("screening: cnn1", "Known keys: screening_model, gate, lungs, target, alpha, limitations, waivers"),
    ],
)
def test_what_evaluate_cannot_use_is_refused(text, sentence):
    with pytest.raises(ParamsError) as error:
        section(YAML(typ="safe").load(f"evaluate: {{{text}}}"), "evaluate", EvaluateParams)
    assert sentence in str(error.value)


def test_the_target_of_the_refits_is_that_of_the_operating_points():
    refits = {"leave_source_out": {"target": "normal", "epochs": 1}}
    assert evaluate_params({"evaluate": {"target": "normal"}} | refits).target == "normal"
    assert evaluate_params({"evaluate": {}, "leave_source_out": {"epochs": 1}}).target == "covid"
    with pytest.raises(ParamsError, match=r"evaluate\.target is 'covid', but leave_source_out\.target is 'normal'"):
        evaluate_params({"evaluate": {}} | refits)


def test_without_a_word_about_it_evaluate_takes_the_best_network_and_waives_nothing():
    own = section({"evaluate": {}}, "evaluate", EvaluateParams)
    assert (own.screening_model, own.target, own.waivers) == ("best", "covid", {})


def test_a_stage_does_not_read_top_level_values_it_does_not_name():
    assert top_level({"seed": 3, "runtime": "broken"}, SeedParams).seed == 3


def test_an_absent_file_says_where_to_run(tmp_path):
    with pytest.raises(ParamsError, match="run in the project's folder"):
        read_params(tmp_path / "params.yaml")


def test_text_that_is_no_yaml_is_refused(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("a: [1")
    with pytest.raises(ParamsError, match=r"is not YAML: while .* line 1, column 4 .*; mend it there$") as error:
        read_params(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("utf-16", "is UTF-16, and DVC reads UTF-8 alone; save it as UTF-8"),
        ("cp1252", "line 2, is not UTF-8 but perhaps Windows-1252: 'seed: 1 # für alle'; save it as UTF-8"),
    ],
)
def test_params_that_dvc_does_not_read_are_refused(tmp_path, encoding, words):
    path = tmp_path / "params.yaml"
    path.write_bytes("# mine\r\nseed: 1 # für alle\r\n".encode(encoding))
    with pytest.raises(ParamsError, match=f"{words}$"):
        read_params(path)


@pytest.mark.parametrize("data", [b"PK\3\4\0\0", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", b"seed: 1\n" + bytes(9)])
def test_what_is_no_text_is_refused_and_nobody_is_sent_to_excel(tmp_path, data):
    path = tmp_path / "params.yaml"
    path.write_bytes(data)
    with pytest.raises(ParamsError, match=r"is no text, for it has a byte of value zero; save it as text, as UTF-8$"):
        read_params(path)


def test_params_are_read_as_notepad_saves_them(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes("seed: 1 # für alle\r\nbalance: {}\r\n".encode("utf-8-sig"))
    assert read_params(path) == {"seed": 1, "balance": {}}


BEFORE = """\
# a comment
train_vgg16:
  weights: random      # a word
  side: 48
  head: {epochs: 60, learning_rate: 0.001}
  even: null
  fine_tune:
    epochs: 10         # a number
"""


def test_values_are_changed_where_they_stand_and_every_other_byte_is_kept():
    head = {"epochs": 7, "learning_rate": 0.00002}
    values = {"train_vgg16": {"weights": "mine.weights.h5", "side": 112, "head": head, "fine_tune": {"epochs": 0}}}
    assert (
        with_values(BEFORE, values)
        == """\
# a comment
train_vgg16:
  weights: mine.weights.h5 # a word
  side: 112
  head: {epochs: 7, learning_rate: 2e-05}
  even: null
  fine_tune:
    epochs: 0          # a number
"""
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"train_vgg16": {"depths": 3}}, "p.yaml has no value train_vgg16.depths; add it there"),
        ({"train_vgg": {"side": 3}}, "p.yaml has no value train_vgg.side; add it there"),
        ({"train_vgg16": {"depth": None}}, "p.yaml has no value train_vgg16.depth; add it there"),
        ({"train_vgg16": {3: 3}}, "p.yaml has no value train_vgg16.3; add it there"),
        ({"train_vgg16": {"side": {"of": 3}}}, "p.yaml has no value train_vgg16.side.of; add it there"),
        ({"train_vgg16": {"head": 3}}, "p.yaml: train_vgg16.head is not a plain value but a section or a list; change"),
        ({"train_vgg16": {"fine_tune": 3}}, "p.yaml: train_vgg16.fine_tune is not a plain value"),
        ({"train_vgg16": {"fine_tune": {}}}, "p.yaml: train_vgg16.fine_tune is not a plain value"),
        ({"train_vgg16": {"side": date(2020, 1, 2)}}, "p.yaml: train_vgg16.side is not a plain value"),
    ],
)
def test_values_that_have_no_place_are_refused(values, words):
    with pytest.raises(ParamsError, match=re.escape(words)):
        with_values(BEFORE, values, "p.yaml")


def test_an_empty_value_is_filled_in_where_it_stands():
    text = "balance:\n  per_class:     # empty: all\n  rows: null  # none\n  more: {a: , b: ~}\n  last:\nseed: 7\n"
    values = {"balance": {"per_class": 20, "rows": "even", "more": {"a": 1, "b": 2}, "last": 3}}
    assert with_values(text, values) == (
        "balance:\n  per_class: 20  # empty: all\n  rows: even  # none\n  more: {a: 1, b: 2}\n  last: 3\nseed: 7\n"
    )


def test_what_has_its_value_already_is_left_as_it_is_written():
    for text in (SHIPPED.read_text(encoding="utf-8"), BEFORE):
        assert with_values(text, YAML(typ="safe").load(text)) == text
    assert with_values("a: {b: 1.0}\n", {"a": {"b": 1}}) == "a: {b: 1}\n"


@pytest.mark.parametrize("new", ["12", "true", "two words", "a: b", "é # no comment", "a, b", 'so "it" is'])
def test_a_text_stays_the_text_that_it_is(new):
    text = "a: {b: one, c: 'two words'}  # what\n"
    for key in ("b", "c"):
        assert YAML(typ="safe").load(with_values(text, {"a": {key: new}}))["a"][key] == new


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &one {b: 1}\nc: *one\n", "one of these values stands for others, too"),
        ("one: &one {b: 1}\na:\n  <<: *one\n", "p.yaml: a.b is another section's value"),
    ],
)
def test_a_value_that_stands_for_others_too_is_refused(text, words):
    with pytest.raises(ParamsError, match=words):
        with_values(text, {"a": {"b": 2}}, "p.yaml")


def test_the_page_of_params_follows_from_the_code():
    from tests.params_page import render

    assert (ROOT / "docs/params.md").read_text(encoding="utf-8") == render()


def test_a_misspelt_required_param_is_named_with_what_was_meant_and_without_the_section():
    with pytest.raises(ParamsError) as error:
        section({"split": {"tset": 0.2, "validation": 0.2}}, "split", Needed)
    assert str(error.value) == (
        "params.yaml: split.tset: extra inputs are not permitted, got 0.2; did you mean test? "
        "Known keys: test, validation"
    )


def test_a_required_param_that_no_key_was_meant_for_is_still_asked_for():
    with pytest.raises(ParamsError) as error:
        section({"split": {"tset": 0.2}}, "split", Needed)
    assert "split.validation: is required, and absent; params.yaml: split.tset: extra" in str(error.value)


class Needed(Section):
    test: float
    validation: float
