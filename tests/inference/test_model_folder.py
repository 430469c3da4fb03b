"""The gate of a model folder: named by its bytes, or not there at all."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from cxr.api import screen
from cxr.core.errors import ModelError
from cxr.core.files import read_json, write_json
from cxr.inference.gate import GATE_FILES, gate_fingerprint, load_gate
from cxr.inference.model_folder import copy_gate, load_model, packaged_folder
from cxr.inference.network import DESCRIPTION_FILE
from cxr.phantom.anatomy import Finding
from cxr.phantom.film import draw_phantom
from tests.evaluation.toy_gates import toy_gate

SIDE = 128  # of the packaged network


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Copy the packaged model, without a gate of its own."""
    folder = tmp_path / "model"
    shutil.copytree(packaged_folder(), folder)
    for name in GATE_FILES:
        (folder / name).unlink(missing_ok=True)
    description = read_json(folder / DESCRIPTION_FILE)
    description.pop("gate", None)
    write_json(folder / DESCRIPTION_FILE, description)
    return folder


@pytest.fixture
def gated(bare: Path, tmp_path: Path) -> Path:
    """Give the model a gate as `evaluate` does."""
    named = copy_gate(toy_gate(tmp_path / "gate", SIDE), bare)
    write_json(bare / DESCRIPTION_FILE, read_json(bare / DESCRIPTION_FILE) | named)
    return bare


def test_a_model_without_a_gate_has_none(bare: Path) -> None:
    assert load_model(bare).gate is None


def test_a_gate_is_loaded_with_its_model_and_says_what_it_said_alone(gated: Path, tmp_path: Path) -> None:
    gate, alone = load_model(gated).gate, load_gate(tmp_path / "gate")
    assert gate is not None
    assert gate.sha256 == gate_fingerprint(gated) == read_json(gated / DESCRIPTION_FILE)["gate"]["sha256"]
    planes = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE), dtype=np.uint8)
    assert np.array_equal(gate.scores(planes), alone.scores(planes))
    assert (gate.limits, gate.thresholds) == (alone.limits, alone.thresholds)


@pytest.mark.parametrize("name", GATE_FILES)
def test_a_file_that_nobody_names_is_refused(bare: Path, name: str) -> None:
    (bare / name).write_bytes(b"")
    with pytest.raises(ModelError, match=f"{name} is there, but the description beside it does not name it"):
        load_model(bare)


@pytest.mark.parametrize("name", GATE_FILES)
def test_an_absent_file_is_refused(gated: Path, name: str) -> None:
    (gated / name).unlink()
    with pytest.raises(ModelError, match="take the whole folder from one run"):
        load_model(gated)


def test_an_altered_threshold_is_refused(gated: Path) -> None:
    form = read_json(gated / "gate.json")
    form["thresholds"]["inverted"] = 0.123
    write_json(gated / "gate.json", form)
    with pytest.raises(ModelError, match=r"holds a gate with SHA-256 .* its description names"):
        load_model(gated)


def test_a_gate_may_take_other_planes_than_its_network(bare: Path, tmp_path: Path) -> None:
    picture = draw_phantom(Finding.NONE, [1, 1], 0).luminance
    (alone,) = screen(picture, load_model(bare))
    named = copy_gate(toy_gate(tmp_path / "small", 64), bare)
    write_json(bare / DESCRIPTION_FILE, read_json(bare / DESCRIPTION_FILE) | named)
    model = load_model(bare)
    assert model.sides == (SIDE, 64)
    (gated,) = screen(picture, model)
    assert gated.probabilities == alone.probabilities != {}
