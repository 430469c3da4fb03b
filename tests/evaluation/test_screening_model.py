"""The folder that screens: the chosen network, its decisions, and a description that names both by their bytes."""

import json

import pytest

from cxr.core.errors import ModelError
from cxr.core.files import read_json, sha256_of, write_json
from cxr.evaluation.candidates import read_candidate
from cxr.evaluation.report import metrics_json
from cxr.evaluation.reporting.model_card import render_card
from cxr.evaluation.screening_model import describe_screening, model_files, write_screening
from cxr.inference.decisions import parse_decisions
from cxr.inference.gate import gate_fingerprint
from cxr.inference.lungs import LUNGS, LUNGS_FILES, lungs_fingerprint
from cxr.inference.model_folder import load_model, load_model_lungs
from tests.evaluation.cases import PARAMS, PIPELINE, candidate, planes, split_table, trained
from tests.evaluation.reporting.fake import report
from tests.evaluation.toy_gates import toy_gate, toy_lungs

VALUES = PIPELINE | {"classes": ["covid"], "evaluate": {}, "seed": 7}


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    table = split_table(20)
    folder = trained(tmp_path_factory.mktemp("models") / "cnn1")
    return read_candidate(folder, table, lambda _: planes(table), PARAMS)


@pytest.fixture
def screening(chosen, tmp_path):
    write_screening(tmp_path / "screening", chosen, report(1), VALUES)
    return tmp_path / "screening"


def test_the_folder_is_whole_and_loads_with_its_decisions(screening, chosen):
    assert sorted(path.name for path in screening.iterdir()) == [
        "decisions.json", "model.json", "network.bin", "network.xml",
    ]  # fmt: skip
    model = load_model(screening)
    assert model.description["decisions"] == {"sha256": sha256_of(screening / "decisions.json")}
    assert read_json(screening / "decisions.json") == json.loads(json.dumps(chosen.decided))
    assert model.network_sha256 == chosen.model.network_sha256 == model.decisions.network
    assert model.operating_point == "covid_sens95"


def test_the_gate_is_copied_named_by_its_bytes_and_loads(chosen, tmp_path):
    gate = toy_gate(tmp_path / "gate", chosen.model.plane_side)
    description = write_screening(tmp_path / "screening", chosen, report(1), VALUES, gate)
    assert sorted(path.name for path in (tmp_path / "screening").iterdir()) == [
        "decisions.json", "gate.bin", "gate.json", "gate.xml", "model.json", "network.bin", "network.xml",
    ]  # fmt: skip
    model = load_model(tmp_path / "screening")
    assert description["gate"] == model.description["gate"] == {"sha256": gate_fingerprint(gate)}
    assert model.gate.sha256 == gate_fingerprint(gate)


def test_the_lung_segmenter_is_copied_named_by_its_bytes_and_loads(chosen, tmp_path):
    lungs = toy_lungs(tmp_path / "lungs", chosen.model.plane_side)
    description = write_screening(tmp_path / "screening", chosen, report(1), VALUES, lungs=lungs)
    assert description[LUNGS] == {"sha256": lungs_fingerprint(lungs), "held_out": []}
    assert load_model_lungs(tmp_path / "screening", description).sha256 == lungs_fingerprint(lungs)
    assert f"- Lung segmenter SHA-256 `{lungs_fingerprint(lungs)}`" in render_card(description)
    assert "## Lung segmenter" not in render_card(description)
    row = {"source": "north", "films": 9, "dice": 0.95, "lowest_dice": 0.9, "box_wrong": 0.1}
    measured = description | {LUNGS: description[LUNGS] | {"held_out": [row]}}
    assert "| north | 9 | 0.9500 | 0.9000 | 0.1000 |" in render_card(measured)
    assert set(LUNGS_FILES) < {path.name for path in model_files(tmp_path / "screening", description)}


def test_written_thresholds_decide_as_those_that_were_measured(screening, chosen):
    read, probabilities = load_model(screening).decisions, chosen.probabilities
    fitted = parse_decisions(chosen.decided)
    assert (read.probabilities(chosen.test.logits) == probabilities).all()
    for point in fitted.points:
        assert read.decide(probabilities, point) == fitted.decide(probabilities, point)


def test_the_description_names_params_of_the_whole_pipeline_and_what_was_measured(screening, chosen):
    description = load_model(screening).description
    assert description["params"] == PIPELINE | {"classes": ["covid"]} | chosen.model.description["params"]
    flat = metrics_json(report(1).models[0])
    assert {key: description["evaluation"][key] for key in flat} == flat
    assert description["evaluation"]["card"]["headline"] == report(1).verdict.headline


def test_equal_results_give_equal_bytes_over_an_older_folder(screening, chosen):
    before = {path: path.read_bytes() for path in screening.iterdir()}
    (screening / "decisions.json").write_text("older")
    write_screening(screening, chosen, report(1), VALUES)
    assert {path: path.read_bytes() for path in screening.iterdir()} == before


def test_altered_absent_and_foreign_decisions_are_refused(screening):
    path = screening / "decisions.json"
    form = read_json(path)
    write_json(path, form | {"temperature": form["temperature"] * 1.01})
    with pytest.raises(ModelError, match=r"decisions\.json has SHA-256 .* take the whole folder from one run"):
        load_model(screening)
    path.unlink()
    with pytest.raises(ModelError, match=r"decisions\.json cannot be read"):
        load_model(screening)
    write_json(path, form | {"network": "0" * 64})
    description = read_json(screening / "model.json")
    write_json(screening / "model.json", description | {"decisions": {"sha256": sha256_of(path)}})
    with pytest.raises(ModelError, match=r"was fitted for the network 000000000000\.\.\."):
        load_model(screening)


def test_phantoms_are_announced_in_the_card():
    one = candidate("cnn1")
    one.model.description["data"]["synthetic_images"] = 50
    assert "they mean nothing for patients" in render_card(describe_screening(one, report(1), VALUES))
    one.model.description["data"]["synthetic_images"] = 0
    assert "phantom" not in render_card(describe_screening(one, report(1), VALUES))
