import json

import numpy as np
import pandas as pd
import pytest

from cxr.dataset.phantom import draw_phantom
from cxr.dataset.phantom_findings import Finding
from cxr.gate import GATE_FILES, Sign, load_gate
from cxr.params import CommonParams, ImageParams
from cxr.planes import to_plane
from cxr.training.gate_fit import scaled, whitening
from cxr.training.gate_params import GateParams
from tests.tables import manifest

SIDE, EACH = 64, 90


def test_whitened_features_have_mean_zero_covariance_one_and_the_share_within_one():
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(5000, 3)) @ rng.normal(size=(3, 3)) + [5, 0, -2]).astype(np.float32)
    plain = whitening(features, shrinkage=1e-9)
    white = features @ plain.matrix + plain.offset
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(white.T), np.eye(3), atol=0.02)
    far = scaled(plain, features, 0.98)
    assert (np.linalg.norm(features @ far.matrix + far.offset, axis=1) <= 1).mean() == pytest.approx(0.98, abs=1e-3)


def test_more_features_than_radiographs_can_be_whitened():
    features = np.random.default_rng(0).normal(size=(10, 40)).astype(np.float32)
    features[:, 0] = 0
    assert np.isfinite(whitening(features, shrinkage=0.1).matrix).all()


@pytest.fixture(scope="module")
def films():
    findings = (Finding.NONE, Finding.GROUND_GLASS)
    drawn = [draw_phantom(findings[n % 2], [n], 0).luminance for n in range(2 * EACH)]
    return np.stack([to_plane(luminance, SIDE) for luminance in drawn])


@pytest.fixture(scope="module")
def table():
    rows = manifest({"bright": EACH, "dark": EACH})
    rows["split"] = (["train"] * 60 + ["validation"] * 15 + ["test"] * 15) * 2
    return rows


@pytest.fixture(scope="module")
def folder(films, table, pinned_tensorflow, tmp_path_factory):
    return train(films, table, pinned_tensorflow, tmp_path_factory.mktemp("gate"), epochs=14)


def train(films, table, runtime, folder, **params):
    from cxr.training.gate import train_gate, write_gate

    shared = CommonParams(seed=3, classes=("bright", "dark"), image=ImageParams(side=SIDE), runtime=runtime)
    write_gate(folder, train_gate(table, films, shared, GateParams(side=48, **params)))
    return folder


def seen(gate, planes, sign):
    return np.mean([sign in signs for signs in gate.signs(np.ascontiguousarray(planes))])


@pytest.mark.slow
def test_a_trained_gate_passes_radiographs_and_finds_what_was_done_to_them(folder, films, table):
    gate, test = load_gate(folder), films[table["split"] == "test"]
    noise = np.random.default_rng(5).integers(0, 256, (30, SIDE, SIDE)).astype(np.uint8)
    assert seen(gate, test, Sign.NOT_A_RADIOGRAPH) < 0.1
    assert seen(gate, noise, Sign.NOT_A_RADIOGRAPH) == 1
    assert seen(gate, noise, Sign.OUT_OF_DISTRIBUTION) == 1
    assert seen(gate, 255 - test, Sign.INVERTED) > 0.9 > 0.1 > seen(gate, test, Sign.INVERTED)
    assert seen(gate, np.rot90(test, 1, (1, 2)), Sign.ROTATED_90) > 0.9 > 0.1 > seen(gate, test, Sign.ROTATED_90)
    assert seen(gate, np.rot90(test, 3, (1, 2)), Sign.ROTATED_90) > 0.9
    assert seen(gate, np.rot90(test, 2, (1, 2)), Sign.ROTATED_180) > 0.7 > 0.1 > seen(gate, test, Sign.ROTATED_180)


@pytest.mark.slow
def test_the_folder_says_what_was_trained_and_found(folder):
    form = json.loads((folder / "gate.json").read_text())
    assert sorted(path.name for path in folder.iterdir()) == sorted([*GATE_FILES, "history.csv"])
    assert form["outputs"] == [sign.value for sign in Sign]
    assert form["validation"]["images"] == 30
    assert form["validation"]["seen"]["not_a_radiograph"] == 0
    assert len(pd.read_csv(folder / "history.csv")) == form["training"]["epochs"] == 14


@pytest.mark.slow
def test_the_same_seed_and_data_give_the_same_weights_and_thresholds(films, table, pinned_tensorflow, tmp_path):
    folders = [train(films, table, pinned_tensorflow, tmp_path / name, epochs=1, negatives=0.1) for name in "ab"]
    # Not the graph: OpenVINO numbers its nodes on through a process.
    first, second = ((folder / "gate.bin").read_bytes() for folder in folders)
    assert first == second
    assert load_gate(folders[0]).thresholds == load_gate(folders[1]).thresholds
