"""Weights of a file are loaded by topology and frozen, whatever wrote the file; random ones keep the signal."""

import h5py
import numpy as np
import pytest

from cxr.core.errors import ParamsError, WeightsError
from cxr.models import HeadParams
from tests.networks import build
from tests.published import draw_published

pytestmark = pytest.mark.slow

NEWER = ("new.weights.h5", "whole.h5")
PLANES = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def keras(pinned_tensorflow):  # noqa: ARG001  first of all
    from cxr.models.layers import keras

    return keras


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_published_weights_are_loaded_and_only_the_head_learns(name, keras, tmp_path):  # noqa: ARG001
    published, expected = draw_published(name, tmp_path)
    model = build(name, 64, 32, 3, 0.2, imagenet=tmp_path / published.filename)
    found = model.get_layer(name).get_weights()
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert [weight.path for weight in model.trainable_weights] == ["logits/kernel", "logits/bias"]
    maps = model(PLANES, training=False)
    assert np.abs(maps["feature_map"].numpy().mean(axis=(1, 2)) - maps["features"].numpy()).max() < 1e-4


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_one_set_of_arrays_is_one_network_whatever_kind_of_file_it_came_in(name, keras, tmp_path):
    from cxr.training.transfer import weights_sha256

    published, expected = draw_published(name, tmp_path)
    body = getattr(keras.applications, {"vgg16": "VGG16", "resnet50": "ResNet50"}[name])(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    body.set_weights(expected)
    body.save_weights(tmp_path / "new.weights.h5")
    body.save(tmp_path / "whole.h5")
    built = [build(name, 32, 32, 3, 0.2, imagenet=tmp_path / file) for file in (published.filename, *NEWER)]
    assert len({weights_sha256(model) for model in built}) == 1
    for model in built[1:]:
        assert all(np.array_equal(*pair) for pair in zip(model.get_layer(name).get_weights(), expected, strict=True))


def test_how_many_depths_are_pooled_is_the_recipes_and_the_coarsest_comes_last(keras, tmp_path):  # noqa: ARG001
    file = tmp_path / draw_published("vgg16", tmp_path)[0].filename
    widths = [
        build("vgg16", 32, 32, 3, 0.2, imagenet=file, head=HeadParams(depths=depths)).output["feature_map"].shape
        for depths in (1, 3, 5)
    ]
    assert widths == [(None, 2, 2, 512), (None, 2, 2, 256 + 512 + 512), (None, 2, 2, 64 + 128 + 256 + 512 + 512)]


def test_a_side_whose_maps_share_no_grid_is_refused(keras, tmp_path):  # noqa: ARG001
    file = tmp_path / draw_published("resnet50", tmp_path)[0].filename
    with pytest.raises(ParamsError, match=r"train_resnet50\.side 48 gives maps of 6, 3, 2 pixels.* multiple of 32"):
        build("resnet50", 64, 48, 3, 0.2, imagenet=file)


def altered(path, change):
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def shortened(file):
    del file["layers/conv2d_4/vars/0"]
    file["layers/conv2d_4/vars/0"] = np.zeros((3, 3, 128, 7))


def with_nan(file):
    file["layers/conv2d_4/vars/1"][0] = np.nan


def without_one(file):
    del file["layers/conv2d_12"]


def with_one_more(file):
    file["layers/dense/vars/0"] = np.zeros((512, 10))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            shortened,
            "layer 'conv2d_4' has the shapes 3 x 3 x 128 x 7 and 256, where block3_conv1 has 3 x 3 x 128 x 256",
        ),
        (with_nan, "numbers in its layer 'conv2d_4' that are not finite"),
        (without_one, "layer 'conv2d_12' has the shapes of nothing, where block5_conv3 has 3 x 3 x 512 x 512 and 512"),
        (with_one_more, "it has 14 layers with weights, expected 13; after those of vgg16 comes 'dense'. Expected are"),
    ],
)
def test_weights_of_another_network_are_refused_by_layer_and_shapes(change, sentence, keras, tmp_path):
    body = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    path = tmp_path / "w.weights.h5"
    body.save_weights(path)
    with pytest.raises(WeightsError) as caught:
        build("vgg16", 32, 32, 3, 0.2, imagenet=altered(path, change))
    assert str(caught.value).startswith(f"{path} ")
    assert sentence in str(caught.value)


def test_of_the_published_kind_the_files_own_name_of_the_layer_is_said(keras, tmp_path):  # noqa: ARG001
    file = tmp_path / draw_published("vgg16", tmp_path)[0].filename
    with pytest.raises(WeightsError, match="'block1_conv1' has the shapes 3 x 3 x 3 x 64 and 64, where conv1_conv"):
        build("resnet50", 32, 32, 3, 0.2, imagenet=file)


@pytest.mark.parametrize("content", [b"", b"text\n", b"\x89HDF\r\n\x1a\n and no more"])
def test_what_is_no_file_of_weights_is_refused(content, keras, tmp_path):  # noqa: ARG001
    (tmp_path / "w.h5").write_bytes(content)
    with pytest.raises(WeightsError, match=r"w\.h5 cannot be read as weights in HDF5"):
        build("vgg16", 32, 32, 3, 0.2, imagenet=tmp_path / "w.h5")


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_random_weights_all_learn_and_carry_the_signal_to_the_end(name, keras):
    keras.utils.set_random_seed(1)
    model = build(name, 64, 32, 3, 0.2)
    planes = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 1), dtype=np.uint8)
    features = model(planes, training=True)["features"].numpy()
    assert 0.01 < features.std() < 100
    assert len(model.trainable_weights) > 20
