import numpy as np
import pytest

from cxr.evaluation.audits.behaviour import dependence, robustness
from cxr.evaluation.audits.regions import border_only, find_regions
from cxr.evaluation.audits.variants import FULL, ask, changes, variants
from cxr.evaluation.stats.resampling import draw_weights
from tests.evaluation.audits.toys import SIDE, marked, noise, reader

TRUTH = np.repeat([0, 1, 2], 30)
CORNER, CENTRE = (slice(0, 3), slice(0, 3)), (slice(14, 18), slice(14, 18))


def depends(place, masks=None):
    planes, predict = marked(TRUTH, *place), reader(*place)
    answers = ask({"toy": predict}, {"toy": predict(planes).argmax(axis=1)}, planes, masks, seed=1)["toy"]
    how = find_regions(SIDE, masks).how
    return dependence(TRUTH, answers, how, draw_weights(TRUTH, np.arange(len(TRUTH)), 1, draws=50))


def test_a_network_that_reads_a_corner_does_not_depend_on_the_lungs():
    found = depends(CORNER)
    assert found["full"]["value"] == 1
    assert found["lung_dependence"] <= 0.1
    assert found["border_only"]["value"] == 1
    assert found["regions"] == "box"


def test_a_network_that_reads_the_centre_depends_on_the_lungs():
    found = depends(CENTRE)
    assert found["lung_dependence"] >= 0.9
    assert found["lungs_only"]["value"] == 1
    assert found["border_only"]["value"] == pytest.approx(1 / 3)


def test_the_box_follows_the_masks_where_there_are_some():
    masks = np.zeros((len(TRUTH), SIDE, SIDE), np.bool_)
    masks[:, 1, 1:3] = masks[:, 2, 0:1] = True  # their box holds the corner's middle
    masks[:, 0, 0] = True
    found = depends(CORNER, masks)
    assert found["regions"] == "masks"
    assert found["lung_dependence"] >= 0.9


def test_the_dependence_of_a_network_at_chance_is_unknown():
    answers = {name: np.zeros(90, np.int64) for name in (FULL, "lungs_blacked", "border_only", "lungs_only")}
    found = dependence(TRUTH, answers, "box", draw_weights(TRUTH, np.arange(90), 1, draws=50))
    assert found["lung_dependence"] is None


def test_regions_black_out_what_they_say():
    planes = np.full((2, SIDE, SIDE), 9, np.uint8)
    masks = np.zeros((2, SIDE, SIDE), np.bool_)
    masks[0, 4:6, 8], masks[0, 10, 12:15] = True, True
    regions = find_regions(SIDE, masks)
    box = np.zeros((SIDE, SIDE), np.bool_)
    box[4:11, 8:15] = True
    assert np.array_equal(regions.lungs_blacked(planes)[0] == 0, box)
    assert np.array_equal(regions.lungs_only(planes)[0] == 9, box)
    # An image without a mask has the fixed box.
    assert np.array_equal(regions.inside[1], find_regions(SIDE, None).inside[0])
    assert (border_only(planes)[0] == 9).sum() == SIDE**2 - (SIDE - 6) ** 2


def test_every_variant_is_shown_to_every_network_once():
    planes, seen = noise(6), {"a": 0, "b": 0}

    def network(name):
        def predict(altered):
            seen[name] += 1
            return np.zeros((len(altered), 3), np.float32)

        return predict

    full = {name: np.full(6, 2) for name in seen}
    answers = ask({name: network(name) for name in seen}, full, planes, None, seed=1)
    names = [name for name, _ in variants(planes, None, 1)]
    assert len(set(names)) == len(names)
    assert seen == {"a": len(names), "b": len(names)}
    assert list(answers["b"]) == [FULL, *names]
    assert answers["a"][FULL].tolist() == [2] * 6


def test_robustness_counts_falls_and_flips():
    answers = {name: TRUTH.copy() for name in changes(0)} | {FULL: TRUTH}
    answers["jpeg_50"] = np.where(np.arange(90) < 6, 1, TRUTH)  # six of thirty of one class
    rows = {row["perturbation"]: row for row in robustness(TRUTH, answers)}
    assert rows["jpeg_50"]["change"] == pytest.approx(-0.2 / 3, abs=1e-6)
    assert rows["jpeg_50"]["flips"] == pytest.approx(6 / 90, abs=1e-6)
    assert rows["jpeg_50"]["text"] == "JPEG quality 50"
    assert rows["blur"] == {
        "perturbation": "blur",
        "text": "Gaussian blur, 1 pixel",
        "balanced_accuracy": 1.0,
        "change": 0.0,
        "flips": 0.0,
    }
