"""The model that ships: complete, small, trained on radiographs, and described by the card beside the README."""

import json
from pathlib import Path

import pytest

from cxr.errors import ModelError
from cxr.evaluation.card import render_card
from cxr.evaluation.packaging import MAX_BYTES, package_model
from cxr.model_folder import describe_model, load_model, packaged_folder
from tests.imports import ROOT


def test_the_card_follows_from_the_packaged_description():
    assert (ROOT / "MODEL_CARD.md").read_text(encoding="utf-8") == render_card(describe_model(packaged_folder()))


def test_the_packaged_model_is_whole_small_and_saw_no_phantoms():
    model = load_model(packaged_folder())
    assert not model.synthetic
    assert sum(path.stat().st_size for path in packaged_folder().iterdir()) < MAX_BYTES
    assert {"params", "data", "evaluation", "commit", "environment"} <= set(model.description)
    assert set(model.description["evaluation"]["sensitivity"]) == set(model.classes)


@pytest.fixture
def copy(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for path in packaged_folder().iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


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
