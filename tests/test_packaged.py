"""The model that ships: complete, small, trained on radiographs, and described by the card beside the README."""

import json
from pathlib import Path

import pytest

from cxr.core.errors import ModelError
from cxr.core.files import read_json, sha256_of, write_json
from cxr.evaluation.reporting.model_card import render_card
from cxr.evaluation.write import MAX_BYTES, model_files, package_model
from cxr.inference.gate import GATE_FILES, Sign, gate_fingerprint
from cxr.inference.model_folder import describe_model, learnt_images, load_model, packaged_folder
from tests.decision_forms import with_decisions
from tests.evaluation.toy_gates import toy_gate
from tests.imports import ROOT
from tests.shipped import ungated


def test_the_card_follows_from_the_packaged_description():
    assert (ROOT / "MODEL_CARD.md").read_text(encoding="utf-8") == render_card(describe_model(packaged_folder()))


def test_the_description_tells_how_many_images_in_training_set_knows():
    model = load_model(packaged_folder())
    assert learnt_images(model.description) == 2352 + 588 + 627 == len(model.decisions.training_pixels)
    assert learnt_images(model.description | {"elsewhere": None}) == 2352


def test_the_packaged_model_is_whole_small_and_saw_no_phantoms():
    model = load_model(packaged_folder())
    assert not model.synthetic
    assert sum(path.stat().st_size for path in packaged_folder().iterdir()) < MAX_BYTES
    assert {"params", "data", "evaluation", "commit", "environment"} <= set(model.description)
    assert set(model.description["evaluation"]["sensitivity"]) == set(model.classes)


@pytest.fixture
def copy(tmp_path):
    return ungated(tmp_path / "model")


@pytest.fixture
def decided(tmp_path):
    return with_decisions(tmp_path / "decided")


def packaged(source: Path, tmp_path: Path):
    return package_model(source, tmp_path / "package", tmp_path / "CARD.md", "abc")


def test_packaging_writes_model_and_card_that_agree(copy, tmp_path):
    packaged(copy, tmp_path)
    assert load_model(tmp_path / "package").description["commit"] == "abc"
    assert (tmp_path / "CARD.md").read_text() == render_card(describe_model(tmp_path / "package"))


def test_a_model_of_phantoms_is_not_packaged(copy, tmp_path):
    description = json.loads((copy / "model.json").read_text())
    description["data"]["synthetic_images"] = 1
    (copy / "model.json").write_text(json.dumps(description))
    with pytest.raises(ModelError, match="trained on drawn phantoms"):
        packaged(copy, tmp_path)
    assert not (tmp_path / "package").exists()


def test_a_model_of_other_bytes_is_not_packaged(copy, tmp_path):
    (copy / "network.bin").write_bytes((copy / "network.bin").read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"is not the network that its model\.json describes"):
        packaged(copy, tmp_path)


def test_decisions_are_packaged_with_the_network_they_were_fitted_for(decided, tmp_path):
    packaged(decided, tmp_path)
    package = tmp_path / "package"
    assert sha256_of(package / "decisions.json") == sha256_of(decided / "decisions.json")
    model = load_model(package)
    assert model.operating_point == "covid_sens95"
    assert sorted(path.name for path in package.iterdir()) == [
        "decisions.json", "model.json", "network.bin", "network.xml",
    ]  # fmt: skip


@pytest.fixture
def gated(decided):
    """Give a model with decisions and a gate."""
    toy_gate(decided, 128)
    description = read_json(decided / "model.json")
    write_json(decided / "model.json", description | {"gate": {"sha256": gate_fingerprint(decided)}})
    return decided


def test_the_gate_is_packaged_counted_and_on_the_card(gated, tmp_path):
    packaged(gated, tmp_path)
    package = tmp_path / "package"
    model = load_model(package)
    assert model.gate.sha256 == gate_fingerprint(gated)
    assert set(GATE_FILES) < {path.name for path in model_files(package, model.description)}
    card = (tmp_path / "CARD.md").read_text()
    assert f"- Gate SHA-256 `{model.gate.sha256}`" in card
    assert "A gate rejects" in card
    assert "answers whatever it is given" not in card


def test_a_model_without_a_gate_leaves_none_of_the_one_before(gated, copy, tmp_path):
    packaged(gated, tmp_path)
    packaged(copy, tmp_path)
    assert load_model(tmp_path / "package").gate is None


def test_another_gate_is_not_packaged(gated, tmp_path):
    toy_gate(gated, 128, dict.fromkeys(Sign, 0.5))
    with pytest.raises(ModelError, match="holds a gate with SHA-256"):
        packaged(gated, tmp_path)
    assert not (tmp_path / "package").exists()


def test_the_card_of_an_ensemble_names_its_members_and_their_epochs(copy):
    of_one = ("architecture", "elsewhere", "teachers")
    description = {key: value for key, value in describe_model(copy).items() if key not in of_one}
    one = description["training"]
    training = {"epochs": None, "best_epoch": None, "members": {"cnn1": one, "cnn3": one | {"best_epoch": 12}}}
    card = render_card(description | {"name": "ensemble", "members": ["cnn1", "cnn3"], "training": training})
    assert "`ensemble`, the mean of the logits of `cnn1` and `cnn3`: " in card
    assert f"- Weights of `cnn1` of epoch {one['best_epoch']} of {one['epochs']}" in card
    assert f"- Weights of `cnn3` of epoch 12 of {one['epochs']}" in card
    assert "None" not in card


def test_the_card_says_what_each_member_started_from():
    params = {"train_cnn3": {}, "train_lite0": {"weights": "imagenet"}}
    mixed = {"initialisation": "mixed", "members": ["cnn3", "lite0"], "params": params}
    card = render_card(describe_model(packaged_folder()) | mixed)
    assert "weights, initialised `cnn3` at random, `lite0` from published weights of ImageNet." in card


def test_the_card_says_which_hospitals_the_last_layer_alone_has_learnt_from():
    description = describe_model(packaged_folder())
    assert "openist: 274 normal; shenzhen: 314 normal" in render_card(description)
    assert "That makes 3567 images that the network was trained on." in render_card(description)
    assert "also learnt" not in render_card(description | {"elsewhere": None})


def test_a_model_without_decisions_leaves_none_of_the_one_before(decided, copy, tmp_path):
    packaged(decided, tmp_path)
    description = read_json(copy / "model.json")
    description.pop("decisions", None)
    write_json(copy / "model.json", description)
    (copy / "decisions.json").unlink(missing_ok=True)
    packaged(copy, tmp_path)
    assert load_model(tmp_path / "package").decisions is None


def test_decisions_are_counted_among_what_a_package_may_carry(decided, tmp_path, monkeypatch):
    files = [path for path in decided.iterdir() if path.name != "model.json"]
    size = sum(path.stat().st_size for path in files)
    monkeypatch.setattr("cxr.evaluation.write.MAX_BYTES", size - 1)
    with pytest.raises(ModelError, match=f"has {size:,} bytes; a packaged model has at most {size - 1:,}"):
        packaged(decided, tmp_path)
    monkeypatch.setattr("cxr.evaluation.write.MAX_BYTES", size)
    packaged(decided, tmp_path)


def altered(folder):
    path = folder / "decisions.json"
    write_json(path, read_json(path) | {"temperature": 2.0})


def of_another_network(folder):
    path, description = folder / "decisions.json", read_json(folder / "model.json")
    write_json(path, read_json(path) | {"network": "0" * 64})
    write_json(folder / "model.json", description | {"decisions": {"sha256": sha256_of(path)}})


def absent(folder):
    (folder / "decisions.json").unlink()


def unnamed(folder):
    description = read_json(folder / "model.json")
    del description["decisions"]
    write_json(folder / "model.json", description)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (altered, r"decisions\.json has SHA-256"),
        (of_another_network, r"was fitted for the network 000000000000\.\.\."),
        (absent, r"decisions\.json cannot be read"),
        (unnamed, r"does not name it"),
    ],
)
def test_wrong_decisions_are_not_packaged(spoil, sentence, decided, tmp_path):
    spoil(decided)
    with pytest.raises(ModelError, match=sentence):
        packaged(decided, tmp_path)
    assert not (tmp_path / "package").exists()
    assert not (tmp_path / "CARD.md").exists()
