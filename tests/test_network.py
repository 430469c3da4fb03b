import json

import numpy as np
import pytest

from cxr.errors import ModelError
from cxr.model_folder import describe_model, fingerprint, load_model, packaged_folder
from cxr.network import Network, openvino_module, softmax

SIDE = 8


@pytest.fixture
def folder(tmp_path):
    """Give a model folder whose network reports the mean luminance as two opposite logits."""
    openvino = openvino_module()
    from openvino import opset13 as ops

    planes = ops.parameter([-1, SIDE, SIDE, 1], np.uint8, name="planes")
    pixels = ops.convert(planes, np.float32)
    features = ops.reduce_mean(pixels, [1, 2], keep_dims=False)
    logits = ops.concat([features, ops.negative(features)], axis=1)
    outputs = {"logits": logits, "features": features, "feature_map": ops.multiply(pixels, np.float32(1))}
    for name, node in outputs.items():
        node.output(0).set_names({name})
    model = openvino.Model(list(outputs.values()), [planes], "mean")
    openvino.save_model(model, str(tmp_path / "network.xml"), compress_to_fp16=False)
    description = {
        "name": "mean",
        "classes": ["bright", "dark"],
        "image_side": SIDE,
        "data": {"synthetic_images": 2},
        "network": {"sha256": fingerprint(tmp_path)},
    }
    (tmp_path / "model.json").write_text(json.dumps(description))
    return tmp_path


def test_outputs_are_of_each_plane_in_order(folder):
    planes = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((5, SIDE, SIDE), np.uint8) * 10
    outputs = load_model(folder).network.predict(planes)
    assert outputs.logits.tolist() == [[10.0 * i, -10.0 * i] for i in range(5)]
    assert outputs.features.shape == (5, 1)
    assert outputs.feature_map.shape == (5, SIDE, SIDE, 1)


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 32])
@pytest.mark.parametrize("threads", [1, 2])
def test_answers_are_the_same_to_the_bit_in_any_batch_and_with_any_threads(batch, threads):
    planes = np.random.default_rng(0).integers(0, 256, (9, 128, 128), dtype=np.uint8)
    expected = load_model(packaged_folder()).network.predict(planes)
    network = load_model(packaged_folder(), threads, batch).network
    found = network.predict(planes)
    assert found.logits.shape == (9, 3)
    for name in ("logits", "features", "feature_map"):
        assert np.array_equal(getattr(found, name), getattr(expected, name))
    assert np.array_equal(network.logits(planes), expected.logits)


def test_a_single_network_screens_without_members(folder):
    planes = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE), dtype=np.uint8)
    model = load_model(folder)
    screened = model.network.screen(planes)
    assert np.array_equal(screened.logits, model.network.logits(planes))
    assert (screened.members, model.network.predict(planes).members, model.members) == (None, None, ())


def test_members_that_the_network_does_not_have_are_refused(folder):
    description = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(description | {"members": ["a", "b"]}))
    with pytest.raises(ModelError, match=r"lacks an output for members, but its model\.json says otherwise"):
        load_model(folder)


def test_half_the_batch_gives_the_same_answers_down_to_one(folder):
    planes = np.random.default_rng(0).integers(0, 256, (7, SIDE, SIDE), dtype=np.uint8)
    network = load_model(folder, batch=5).network
    expected = network.logits(planes)
    for batch in (2, 1):
        assert network.halve_batch()
        assert network.batch == batch
        assert np.array_equal(network.logits(planes), expected)
    assert not network.halve_batch()


def test_a_model_says_who_it_is_and_that_it_saw_phantoms(folder):
    model = load_model(folder)
    assert model.classes == ("bright", "dark")
    assert model.identity == f"mean-{fingerprint(folder)[:12]}"
    assert model.synthetic


def test_an_altered_network_is_refused(folder):
    (folder / "network.xml").write_text((folder / "network.xml").read_text() + "\n")
    with pytest.raises(ModelError, match="take the whole folder from one run"):
        load_model(folder)


@pytest.mark.parametrize("name", ["network.xml", "network.bin", "model.json"])
def test_an_incomplete_folder_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name}|is not a model folder"):
        load_model(folder)


def test_a_description_without_classes_is_refused(folder):
    (folder / "model.json").write_text('{"name": "x"}')
    with pytest.raises(ModelError, match=r"model.json lacks classes, image_side, data, network"):
        describe_model(folder)


def test_a_file_that_is_no_network_is_refused(tmp_path):
    (tmp_path / "network.xml").write_text("no")
    with pytest.raises(ModelError, match="not a network that OpenVINO can read"):
        Network(tmp_path / "network.xml")


def test_probabilities_sum_to_one_and_do_not_overflow():
    rows = softmax(np.array([[1000.0, 0.0], [0.0, np.log(3)]], np.float32))
    assert rows[0].tolist() == [1.0, 0.0]
    assert rows[1] == pytest.approx([0.25, 0.75])
    assert rows.dtype == np.float64
