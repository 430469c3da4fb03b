import json
from dataclasses import replace

import numpy as np
import pytest

from cxr.core.errors import ModelError, Reason
from cxr.core.image import ImageFacts
from cxr.inference.gate import GATE_FILES, Flag, Sign, gate_fingerprint, judge, load_gate
from tests.evaluation.toy_gates import LIMITS, THRESHOLDS, toy_gate

SIDE = 64
GREYS = np.array([0, 100, 180, 200, 255], np.uint8)
FACTS = ImageFacts(SIDE, SIDE, "L", 8, "PNG")
SHADES = np.broadcast_to(GREYS[:, None, None], (5, SIDE, SIDE))  # toy scores: grey / 255, for every sign


@pytest.fixture
def folder(tmp_path):
    return toy_gate(tmp_path / "gate", SIDE)


def change(folder, **members):
    form = json.loads((folder / "gate.json").read_text())
    (folder / "gate.json").write_text(json.dumps(form | members))


def judged(gate, planes):
    """Judge planes that keep every limit."""
    gate.limits = replace(gate.limits, min_spread=0)
    return list(judge({number: (FACTS, plane) for number, plane in enumerate(planes)}, gate).values())


def test_a_gate_gives_every_sign_a_score_and_says_which_reach_their_threshold(folder):
    gate = load_gate(folder)
    assert (gate.plane_side, gate.limits, gate.thresholds) == (SIDE, LIMITS, THRESHOLDS)
    np.testing.assert_allclose(gate.scores(SHADES), np.repeat(GREYS[:, None] / 255, len(Sign), axis=1), atol=1e-6)
    found = judged(gate, SHADES)
    assert [one.reason for one in found] == [None, None, None, Reason.NOT_A_RADIOGRAPH, Reason.NOT_A_RADIOGRAPH]
    assert [Flag.OUT_OF_DISTRIBUTION in one.flags for one in found] == [False, False, True, False, False]


def test_a_score_at_the_threshold_is_seen_and_one_just_below_is_not(tmp_path):
    exact = float(load_gate(toy_gate(tmp_path / "any", SIDE)).scores(SHADES[2:3])[0, 0])
    above = float(np.nextafter(exact, 1))
    thresholds = dict.fromkeys(Sign, 2.0) | {Sign.INVERTED: exact, Sign.CROPPED: above}
    (found,) = judged(load_gate(toy_gate(tmp_path / "exact", SIDE, thresholds)), SHADES[2:3])
    assert found.flags == (Flag.INVERTED,)


def test_no_planes_have_no_scores(folder):
    gate = load_gate(folder)
    assert gate.scores(SHADES[:0]).shape == (0, len(Sign))
    assert judged(gate, SHADES[:0]) == []


@pytest.mark.parametrize("name", GATE_FILES)
def test_a_gate_without_one_of_its_files_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelError, match="take the whole folder from one run"):
        load_gate(folder)
    with pytest.raises(ModelError, match=f"no whole gate .*{name}"):
        gate_fingerprint(folder)


def test_the_fingerprint_is_over_all_files_and_names_the_loaded_gate(folder):
    before = load_gate(folder).sha256
    assert before == gate_fingerprint(folder)
    change(folder, limits=json.loads((folder / "gate.json").read_text())["limits"] | {"dark": 0.2})
    assert load_gate(folder).sha256 == gate_fingerprint(folder) != before


def test_a_network_of_another_training_is_refused(folder, tmp_path):
    other = toy_gate(tmp_path / "other", 2 * SIDE)
    (folder / "gate.xml").write_bytes((other / "gate.xml").read_bytes())
    with pytest.raises(ModelError, match=r"describes another network than the gate\.xml beside it"):
        load_gate(folder)


def test_planes_of_another_side_than_described_are_refused(folder):
    change(folder, image_side=2 * SIDE)
    with pytest.raises(ModelError, match="does not take planes of 128 pixels"):
        load_gate(folder)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"gate": 2}, "does not describe a gate of form 1"),
        ({"limits": {}}, "lacks min_side"),
        ({"thresholds": {"inverted": 0.5}}, "expected the members not_a_radiograph, inverted"),
        ({"thresholds": dict.fromkeys(Sign, "high")}, "expected a number"),
        ({"network": {"sha256": "beef"}}, "expected a text of the form"),
    ],
)
def test_a_description_that_is_not_one_is_refused(folder, members, said):
    change(folder, **members)
    with pytest.raises(ModelError, match=said):
        load_gate(folder)
