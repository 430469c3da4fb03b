import json
import subprocess
import sys

import numpy as np
import pytest

from cxr.core.errors import ModelError
from cxr.core.records import as_json
from cxr.imaging.decode import plane_rule
from cxr.inference.model_folder import describe_model, load_model, packaged_folder
from cxr.inference.network import BATCH, Network, fingerprint, openvino_module, softmax
from tests.drawn_networks import draw_network

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
        "plane": as_json(plane_rule()),
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


@pytest.fixture(params=["packaged", "drawn"])
def network_file(request, tmp_path):
    return packaged_folder() / "network.xml" if request.param == "packaged" else draw_network(tmp_path)


def said(network, planes):
    outputs = network.predict(planes)
    members = [outputs.members] if outputs.members is not None else []
    return [outputs.logits, outputs.features, outputs.feature_map, *members]


def test_an_answer_depends_on_the_plane_alone_to_the_bit(network_file):
    side = openvino_module().Core().read_model(network_file).input().partial_shape[1].get_length()
    random = np.random.default_rng(0)
    planes = random.integers(0, 256, (2 * BATCH + 3, side, side), dtype=np.uint8)
    network = Network(network_file, threads=1)
    expected = said(network, planes)
    order = random.permutation(len(planes))
    for threads in (1, 2, 3, 0):  # as many batches side by side
        other = Network(network_file, threads=threads)
        for numbers in (order, order[:BATCH], order[:5], *order[:3, np.newaxis], np.repeat(order[:2], 7)):
            for found, all_of in zip(said(other, planes[numbers]), expected, strict=True):
                assert found.tobytes() == all_of[numbers].tobytes(), (threads, numbers)
    assert np.array_equal(network.logits(planes), expected[0])


def write_resizing(path, before, after, mode="linear_onnx"):
    """Write a graph whose feature map is its plane of `before` pixels, -1 for any, brought to `after`."""
    openvino = openvino_module()
    ops = openvino.opset13
    planes = ops.parameter([-1, before, before, 1], np.uint8, name="planes")
    resized = ops.interpolate(
        ops.convert(planes, np.float32), [after, after], mode, "sizes", [0] * 4, [0] * 4, "half_pixel", axes=[1, 2]
    )
    resized.output(0).set_names({"feature_map"})
    features = ops.reduce_mean(resized, [1, 2], keep_dims=False)
    features.output(0).set_names({"features", "logits"})
    openvino.save_model(openvino.Model([resized, features], [planes], "resizing"), str(path), compress_to_fp16=False)
    return path


def bilinear(plane, after):
    """Return a plane as bilinear interpolation without antialiasing shrinks it, in float64; centres at half pixels."""
    at = (np.arange(after) + 0.5) * len(plane) / after - 0.5
    first, beyond = np.floor(at).astype(int), (at - np.floor(at))
    weights = np.zeros((after, len(plane)))
    weights[np.arange(after), first] = 1 - beyond
    weights[np.arange(after), np.minimum(first + 1, len(plane) - 1)] += beyond
    return weights @ plane @ weights.T


@pytest.mark.parametrize(
    ("before", "after"), [(128, 96), (128, 64), (128, 48), (128, 112), (120, 96), (128, 32), (128, 120), (30, 29)]
)
def test_shrunk_pixels_are_those_of_bilinear_interpolation(before, after, tmp_path):
    planes = np.random.default_rng(0).integers(0, 256, (BATCH + 1, before, before), np.uint8)
    found = Network(write_resizing(tmp_path / "network.xml", before, after)).predict(planes).feature_map
    expected = np.stack([bilinear(plane, after) for plane in planes])
    np.testing.assert_allclose(found[..., 0], expected, atol=0.01)  # of 255; the runtime's own centres are rounded


@pytest.mark.parametrize(("after", "types"), [(96, {"Convolution"}), (120, {"Interpolate"})])
def test_the_runtime_interpolates_only_where_a_convolution_would_be_large(after, types, tmp_path):
    compiled = Network(write_resizing(tmp_path / "network.xml", 128, after))._compiled
    layers = {node.get_rt_info()["layerType"].astype(str) for node in compiled.get_runtime_model().get_ordered_ops()}
    assert layers & {"Convolution", "Interpolate"} == types


def test_planes_of_any_side_are_left_to_the_runtime(tmp_path):
    planes = np.random.default_rng(0).integers(0, 256, (2, 32, 32), np.uint8)
    found = Network(write_resizing(tmp_path / "network.xml", -1, 16)).predict(planes).feature_map
    np.testing.assert_allclose(found[..., 0], [bilinear(plane, 16) for plane in planes], atol=0.01)


def test_enlarging_and_other_interpolation_stay_what_they_are(tmp_path):
    planes = np.random.default_rng(0).integers(0, 256, (2, 32, 32), np.uint8)
    larger = Network(write_resizing(tmp_path / "larger.xml", 32, 64)).predict(planes).feature_map[..., 0]
    assert larger[:, 1, 1] == pytest.approx(  # a quarter of a pixel off the first one's centre, both ways
        planes[:, 0, 0] * 0.5625 + (planes[:, 0, 1] + 1.0 * planes[:, 1, 0]) * 0.1875 + planes[:, 1, 1] * 0.0625
    )
    nearest = Network(write_resizing(tmp_path / "nearest.xml", 32, 8, "nearest")).predict(planes).feature_map
    assert set(np.unique(nearest)) <= set(np.unique(planes))
    assert not np.allclose(nearest[..., 0], [bilinear(plane, 8) for plane in planes], atol=1)


def test_a_network_that_does_not_take_such_planes_says_so_on_any_number_of_threads(network_file):
    planes = np.zeros((3 * BATCH, 20, 20), np.uint8)
    for threads in (1, 2):
        with pytest.raises(RuntimeError, match="shape"):
            Network(network_file, threads=threads).logits(planes)


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


FIRST_ARRAYS = """
import sys, threading
from cxr.inference.model_folder import packaged_folder
from cxr.inference.network import openvino_module
sys.setswitchinterval(1e-6)
compiled = openvino_module().Core().compile_model(str(packaged_folder() / "network.xml"), "CPU")
tensors = [compiled.create_infer_request().get_input_tensor() for _ in range(4)]
started = []
def first(tensor):
    while not started:
        pass
    tensor.data
threads = [threading.Thread(target=first, args=(tensor,), daemon=True) for tensor in tensors]
for thread in threads:
    thread.start()
started.append(True)
for thread in threads:
    thread.join()
"""


def test_threads_that_fill_their_first_tensors_at_once_do_not_wait_for_each_other_for_ever():
    subprocess.run([sys.executable, "-c", FIRST_ARRAYS], timeout=60, check=True)
