import json
from dataclasses import replace

import numpy as np
import pytest

from cxr.core.image import to_plane
from cxr.core.records import as_json
from cxr.evaluation.audits import AUDITS, audit_networks
from cxr.evaluation.audits.shortcuts import mask_shape, shape_of
from cxr.evaluation.audits.subject import Subject, measure_data
from cxr.evaluation.stats.intervals import balanced_accuracy
from cxr.inference.model_folder import load_model, packaged_folder
from cxr.inference.outputs import SavedOutputs
from cxr.phantom.anatomy import Finding
from cxr.phantom.film import draw_phantom
from tests.evaluation.audits.toys import outputs

EACH = 10
TRUTH = np.tile(np.repeat([0, 1, 2], EACH // 2), 2)
SPLIT = np.repeat(["train", "test"], len(TRUTH) // 2)
FIGURES = ["lift", "dependence", "subgroups", "robustness", "shuffle", "frequencies", "cam", "sources"]


@pytest.fixture(scope="module")
def audited():
    model = load_model(packaged_folder())
    films = [draw_phantom(list(Finding)[label], (row,), 0) for row, label in enumerate(TRUTH)]
    images = np.stack([to_plane(film.luminance, 128) for film in films])
    masks = np.stack([to_plane(film.lungs, 128) > 127 for film in films])
    said = model.network.predict(images)
    source = np.where(TRUTH == 0, np.where(np.arange(len(TRUTH)) % 2, "odd", "even"), "other")
    saved: SavedOutputs = outputs(TRUTH, SPLIT, source=source, logits=said.logits, features=said.features, name="cnn1")
    data = measure_data(saved, lambda _: images, 128, np.full(len(TRUTH), 299), masks, {}, seed=1, target="covid")
    found = audit_networks([Subject(model, saved, screening=True)], data)
    return saved, data, found.figures, found.records


def test_every_figure_and_every_audit_is_there_and_is_json(audited):
    _, data, (one,), records = audited
    assert list(as_json(one)) == FIGURES
    assert [record.id for record in records] == [audit.id for audit in AUDITS]
    assert [record.model for record in records if record.id in ("frame_probe", "mask_shape")] == [None, None]
    assert json.loads(json.dumps(as_json([one, records, data.baseline_figures]), allow_nan=False))


def test_a_small_test_split_does_not_stop(audited):
    floor = next(record for record in audited[3] if record.id == "appearance_floor")
    assert floor.result == "not_measurable"
    assert not [record for record in audited[3] if record.result == "fail"]


def test_the_figures_are_those_of_the_test_split(audited):
    saved, data, (one,), _ = audited
    test = saved.of("test")
    value = balanced_accuracy(test.truth, test.logits.argmax(axis=1))
    assert one.dependence.full.value == pytest.approx(value, abs=1e-6)
    assert one.dependence.regions == "masks"
    lift = one.gain
    assert lift.over_appearance.value == pytest.approx(value - data.baseline_figures.appearance.value, abs=2e-6)
    assert [row.source for row in one.sources] == ["even", "odd"]
    assert {row.n for row in one.subgroups if row.group == "size"} == {len(test)}
    assert [row.n for row in one.cam.inside] == [EACH // 2] * 3


def test_a_mask_that_is_small_in_one_class_gives_it_away():
    rng = np.random.default_rng(0)
    truth, split = np.tile([0, 1, 2], 40), np.repeat(["train", "test"], 60)
    masks = np.zeros((120, 32, 32), np.bool_)
    for row, label in enumerate(truth):
        size = 8 + 6 * label + rng.integers(0, 4)
        masks[row, 4 : 4 + size, 4:20] = True
    saved = outputs(truth, split)
    assert mask_shape(saved, masks, 1).value > 0.9
    assert mask_shape(saved, masks[rng.permutation(120)], 1).value < 0.6
    assert mask_shape(saved, None, 1) is None
    masks[(truth == 2) & (split == "test")] = False
    assert mask_shape(saved, masks, 1) is None


def test_the_shape_of_a_mask_is_measured_on_its_bounding_box():
    mask = np.zeros((20, 20), np.bool_)
    mask[5:15, 8:12] = True
    assert shape_of(mask) == pytest.approx([0.1, 2.5, 9.5 / 20, 9.5 / 20])


def test_a_larger_network_is_shown_planes_of_its_side_and_masks_enlarged_to_them(audited):
    _, data, _, _ = audited
    asked = []
    larger = replace(data, planes_of=lambda side: asked.append(side) or np.zeros((len(TRUTH), side, side), np.uint8))
    planes, masks = larger.pictures(256)
    assert asked == [256]
    assert planes.shape == masks.shape == (len(TRUTH) // 2, 256, 256)
    assert np.array_equal(masks[:, ::2, ::2], data.masks)
    assert np.array_equal(masks[:, 1::2, 1::2], data.masks)
