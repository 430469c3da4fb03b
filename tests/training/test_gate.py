import json

import numpy as np
import pandas as pd
import pytest

from cxr.core.image import to_plane
from cxr.core.params import CommonParams
from cxr.inference.gate import GATE_FILES, Sign, load_gate
from cxr.phantom.anatomy import Finding
from cxr.phantom.film import draw_phantom
from cxr.training.gate import limits_of, lowest_threshold, scaled, shares_seen, thresholds_of, whitening
from cxr.training.params import GateParams, LimitParams
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
    """Give a third of them as drawn, then these mirrored and brighter; each split has phantoms of its own."""
    findings = (Finding.NONE, Finding.GROUND_GLASS)
    drawn = [draw_phantom(findings[n % 2], [n], 0).luminance for n in range(2 * EACH // 3)]
    planes = np.stack([to_plane(luminance, SIDE) for luminance in drawn])
    variants = np.stack([planes, planes[..., ::-1], (planes * 0.9 + 25).astype(np.uint8)], axis=1)
    return variants.reshape(2 * EACH, SIDE, SIDE)


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

    shared = CommonParams(seed=3, classes=("bright", "dark"), runtime=runtime)
    write_gate(folder, train_gate(table, films, shared, GateParams(side=48, **params)))
    return folder


def seen(gate, planes, sign):
    scores = gate.scores(np.ascontiguousarray(planes))[:, list(Sign).index(sign)]
    return np.mean(scores >= gate.thresholds[sign])


@pytest.mark.long
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


@pytest.mark.long
@pytest.mark.slow
def test_the_folder_says_what_was_trained_and_found(folder):
    form = json.loads((folder / "gate.json").read_text())
    assert sorted(path.name for path in folder.iterdir()) == sorted([*GATE_FILES, "history.csv"])
    assert form["outputs"] == [sign.value for sign in Sign]
    assert form["validation"]["images"] == 30
    assert form["validation"]["seen"]["not_a_radiograph"] == 0
    assert len(pd.read_csv(folder / "history.csv")) == form["training"]["epochs"] == 14


@pytest.mark.long
@pytest.mark.slow
def test_the_same_seed_and_data_give_the_same_weights_and_thresholds(films, table, pinned_tensorflow, tmp_path):
    folders = [train(films, table, pinned_tensorflow, tmp_path / name, epochs=1, negatives=0.1) for name in "ab"]
    # Not the graph: OpenVINO numbers its nodes on through a process.
    first, second = ((folder / "gate.bin").read_bytes() for folder in folders)
    assert first == second
    assert load_gate(folders[0]).thresholds == load_gate(folders[1]).thresholds


SCORES = np.linspace(0, 1, 1001)[:1000]  # 0.000 to 0.999


@pytest.mark.parametrize(("share", "reached"), [(0.0, 0), (0.003, 3), (0.02, 20), (0.0029, 2)])
def test_a_threshold_lets_at_most_the_share_reach_it_and_is_the_lowest_such(share, reached):
    threshold = lowest_threshold(np.random.default_rng(0).permutation(SCORES), share)
    assert (threshold <= SCORES).sum() == reached
    assert (threshold - 2e-6 <= SCORES).sum() == reached + 1


def test_of_few_radiographs_none_may_be_rejected():
    assert (SCORES[:28] >= lowest_threshold(SCORES[:28], 0.003)).sum() == 0


def test_nothing_is_rejected_below_the_lowest_threshold_for_it():
    scores = np.repeat(SCORES[:, None] / 2, len(Sign), axis=1)
    thresholds = thresholds_of(scores, GateParams(accept=0.997, least=0.5, rejects=0.95))
    assert thresholds[Sign.NOT_A_RADIOGRAPH] == 0.95
    assert thresholds[Sign.INVERTED] == 0.5


def test_each_sign_has_its_own_share_and_no_probability_falls_below_the_least():
    scores = np.repeat(SCORES[:, None], len(Sign), axis=1)
    scores[:, list(Sign).index(Sign.INVERTED)] /= 100
    thresholds = thresholds_of(scores, GateParams(accept=0.997, flagged=0.01, unusual=0.02, least=0.5))
    assert thresholds[Sign.INVERTED] == 0.5
    counts = {sign: int((thresholds[sign] <= SCORES).sum()) for sign in Sign if sign is not Sign.INVERTED}
    assert counts == {
        Sign.NOT_A_RADIOGRAPH: 3, Sign.ROTATED_90: 10, Sign.ROTATED_180: 10, Sign.CROPPED: 10,
        Sign.OUT_OF_DISTRIBUTION: 20,
    }  # fmt: skip


def test_limits_of_exposure_are_those_of_the_radiographs_and_a_margin():
    greys = np.arange(51, 204).astype(np.uint8)  # 0.2 to 0.8 of the range
    planes = np.broadcast_to(greys[:, None, None], (len(greys), 8, 8)).copy()
    planes[-1, :4] = 255
    limits = limits_of(planes, LimitParams(exposure_share=0.0, exposure_margin=0.05, min_side=70))
    assert (limits.dark, limits.bright, limits.max_clipped) == pytest.approx((0.15, (203 + 255) / 2 / 255 + 0.05, 0.55))
    assert (limits.min_side, limits.max_aspect) == (70, 3.0)


def test_shares_are_of_the_radiographs_as_they_are_and_of_those_that_have_the_sign():
    thresholds = dict.fromkeys(Sign, 0.5)
    upright, changed = np.zeros((4, len(Sign))), np.zeros((3, len(Sign)))
    upright[0, 1], changed[:2, 1] = 0.5, (0.9, 0.1)
    targets = np.array([[0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [1, -1, -1, -1, -1]], np.float32)
    said = shares_seen(upright, changed, targets, thresholds)
    assert said["images"] == 4
    assert said["seen"] == dict.fromkeys(Sign, 0.0) | {"inverted": 0.25}
    assert said["found"] == {"not_a_radiograph": 0.0, "inverted": 0.5}
