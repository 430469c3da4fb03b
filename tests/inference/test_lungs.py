"""The lung segmenter of a model folder: loaded where it is asked for, whole and as described, or one sentence."""

import shutil

import numpy as np
import pytest

from cxr.core.errors import ModelError
from cxr.core.files import read_json, write_json
from cxr.inference.lungs import LUNGS, LUNGS_FILES, box_of, load_lungs, lungs_fingerprint, without_specks
from cxr.inference.model_folder import copy_lungs, load_model, load_model_lungs, packaged_folder
from tests.evaluation.toy_gates import toy_lungs

SIDE = 16


@pytest.fixture
def folder(tmp_path):
    return toy_lungs(tmp_path / LUNGS, SIDE)


def test_masks_are_of_each_plane_alone_and_of_none_there_are_none(folder):
    planes = np.zeros((11, SIDE, SIDE), np.uint8)
    planes[np.arange(11), 2:12] = np.arange(11)[:, None, None] * 25
    segmenter = load_lungs(folder)
    assert np.array_equal(segmenter.masks(planes), planes > 127)
    assert np.array_equal(segmenter.masks(planes[4:5]), planes[4:5] > 127)
    assert segmenter.masks(planes[:0]).shape == (0, SIDE, SIDE)


@pytest.mark.parametrize("name", LUNGS_FILES)
def test_an_absent_file_is_one_sentence(name, folder):
    (folder / name).unlink()
    with pytest.raises(ModelError, match="take the whole folder from one run"):
        load_lungs(folder)


def test_another_form_another_network_and_another_side_are_refused(folder):
    form = read_json(folder / "lungs.json")
    for changed, sentence in (
        (form | {LUNGS: 9}, "does not describe a lung segmenter of form 1"),
        (form | {"network": {"sha256": "0" * 64}}, "describes another network than the lungs.xml beside it"),
        (form | {"image_side": 8}, "does not take planes of 8 pixels"),
    ):
        write_json(folder / "lungs.json", changed)
        with pytest.raises(ModelError, match=sentence):
            load_lungs(folder)


def test_a_model_folder_names_its_segmenter_by_its_bytes(folder, tmp_path):
    assert load_model_lungs(tmp_path, {}) is None
    named = copy_lungs(folder, tmp_path)
    assert named == {LUNGS: {"sha256": lungs_fingerprint(folder), "held_out": []}}
    assert load_model_lungs(tmp_path, named).plane_side == SIDE
    with pytest.raises(ModelError, match="the description beside it does not name it"):
        load_model_lungs(tmp_path, {})
    with pytest.raises(ModelError, match=r"holds a lung segmenter with SHA-256 .* names 0000"):
        load_model_lungs(tmp_path, {LUNGS: {"sha256": "0" * 64}})


def test_screening_does_without_it(tmp_path):
    """A model whose segmenter is broken screens as before; only who asks for lungs is told."""
    shutil.copytree(packaged_folder(), tmp_path / "model")
    (tmp_path / "model/lungs.xml").write_text("broken")
    model = load_model(tmp_path / "model")
    with pytest.raises(ModelError, match=r"lungs\.xml"):
        load_model_lungs(model.folder, model.description)


def test_the_packaged_one_finds_two_lungs_on_a_drawn_film_and_was_measured_on_held_out_films():
    from cxr.core.image import to_plane
    from cxr.phantom.anatomy import Finding
    from cxr.phantom.film import draw_phantom

    model = load_model(packaged_folder())
    segmenter = load_model_lungs(model.folder, model.description)
    film = draw_phantom(Finding.NONE, [1], 0)
    found, drawn = segmenter.masks(to_plane(film.luminance, 128)[None])[0], to_plane(film.lungs, 128) > 127
    assert 2 * (found & drawn).sum() / (found.sum() + drawn.sum()) > 0.8
    assert found[:, :64].any()
    assert found[:, 64:].any()
    held_out = read_json(model.folder / "lungs.json")["held_out"]
    assert min(row["dice"] for row in held_out) > 0.93


@pytest.mark.parametrize("side", [32, 30])
def test_specks_go_and_what_touches_a_lung_or_is_a_second_one_stays(side):
    mask = np.zeros((side, side), np.bool_)
    mask[2:20, 2:8], mask[2:12, 22:26] = True, True  # two lungs, the second less than half the first
    expected = mask.copy()
    expected[20:22, 7:9] = True  # a tail of the first
    specks = expected.copy()
    specks[26:29, 18:20] = True
    assert np.array_equal(without_specks(specks), expected)
    assert not without_specks(np.zeros_like(mask)).any()


def test_the_box_of_a_mask_holds_it_and_nothing_more():
    mask = np.zeros((SIDE, SIDE), np.bool_)
    assert box_of(mask) is None
    mask[3, 5] = mask[7, 2] = True
    assert box_of(mask) == (3, 8, 2, 6)
