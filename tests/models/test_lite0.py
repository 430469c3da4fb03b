"""EfficientNet-Lite0: published weights arrive one for one, random ones carry the signal, the export agrees."""

import re

import numpy as np
import pytest

from cxr import models
from cxr.core.errors import WeightsError
from cxr.core.files import write_json
from cxr.inference.model_folder import load_model
from cxr.inference.network import DESCRIPTION_FILE, NETWORK_FILE, fingerprint
from cxr.models.pretrained import PUBLISHED
from tests.evaluation.cases import description
from tests.torch_files import draw_published_lite0, tensor, write_torch

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("pinned_tensorflow")]

PLANES = np.random.default_rng(0).integers(0, 256, (4, 128, 128, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def published(pinned_tensorflow, tmp_path_factory):  # noqa: ARG001  first of all
    """Give the file of drawn weights and what is in it."""
    folder = tmp_path_factory.mktemp("lite0")
    one, drawn = draw_published_lite0(folder)
    return folder / one.filename, drawn


@pytest.fixture(scope="module")
def pretrained(published):
    return models.build("lite0", 128, 96, 3, 0.2, imagenet=published[0])


def test_it_takes_a_plane_and_gives_the_three_outputs(pretrained):
    said = pretrained(PLANES, training=False)
    assert {name: tuple(output.shape) for name, output in said.items()} == {
        "logits": (4, 3), "features": (4, 112), "feature_map": (4, 6, 6, 112),
    }  # fmt: skip
    np.testing.assert_allclose(said["features"], said["feature_map"].numpy().mean(axis=(1, 2)), atol=1e-5)
    assert 0.01 < said["features"].numpy().std() < 6


def test_every_tensor_of_the_first_blocks_is_used_once_but_the_counts(pretrained, published):
    _, drawn = published
    unused = re.compile(r"_(fc|conv_head|bn1)\..*|_blocks\.1[1-5]\..*|.*num_batches_tracked")
    # Drawn from continuous distributions, so equal sorted numbers mean the same tensor.
    expected = sorted(
        tuple(np.sort((tensor.sum(axis=1) if name == "_conv_stem.weight" else tensor).ravel())[:9])
        for name, tensor in drawn.items()
        if not unused.fullmatch(name)
    )
    layers = [layer for layer in pretrained.layers if layer.name != "logits"]
    found = sorted(tuple(np.sort(weight.ravel())[:9]) for layer in layers for weight in layer.get_weights())
    assert found == expected


def test_each_tensor_is_in_its_layer_with_its_axes_in_their_order(pretrained, published):
    _, drawn = published

    def weights(layer):
        return pretrained.get_layer(layer).get_weights()

    (stem,), (depthwise,) = weights("stem"), weights("block3_depthwise")
    assert stem[1, 2, 0, 7] == drawn["_conv_stem.weight"][7, :, 1, 2].sum()
    assert depthwise[4, 1, 9, 0] == drawn["_blocks.3._depthwise_conv.weight"][9, 0, 4, 1]
    for layer, name in (
        ("block3_expand", "_blocks.3._expand_conv"), ("block10_project", "_blocks.10._project_conv"),
    ):  # fmt: skip
        np.testing.assert_array_equal(weights(layer)[0][0, 0], drawn[f"{name}.weight"][:, :, 0, 0].T)
    for layer, name in (
        ("stem_norm", "_bn0"), ("block0_depthwise_norm", "_blocks.0._bn1"), ("block3_expand_norm", "_blocks.3._bn0"),
        ("block3_project_norm", "_blocks.3._bn2"),
    ):  # fmt: skip
        expected = [drawn[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
        for one, other in zip(weights(layer), expected, strict=True):
            np.testing.assert_array_equal(one, other)


def changed(drawn, folder, **changes):
    """Write the drawn weights with some replaced; None leaves one out."""
    return write_torch(
        folder / "w.pth", {name: tensor(array) for name, array in (drawn | changes).items() if array is not None}
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"_blocks.7._bn1.bias": None}, r"_blocks\.7\._bn1\.bias are not in both"),
        ({"_blocks.16._bn1.bias": np.zeros(3, np.float32)}, r"_blocks\.16\._bn1\.bias are not in both"),
        ({"_bn0.bias": np.zeros(31, np.float32)}, "the shapes of stem_norm differ"),
        (
            {"_blocks.9._project_conv.weight": np.zeros((672, 112, 1, 1), np.float32)},
            "the shapes of block9_project differ",
        ),
    ],
)
def test_weights_of_another_network_are_refused(changes, said, published, tmp_path):
    path = changed(published[1], tmp_path, **changes)
    with pytest.raises(WeightsError, match=rf"w\.pth is of another network: .*{said}"):
        models.build("lite0", 64, 32, 3, 0.2, imagenet=path)


def test_all_weights_learn_whatever_they_start_from(pretrained):
    random = models.build("lite0", 64, 32, 3, 0.2)
    for model in (pretrained, random):
        assert len(model.trainable_weights) == 2 + sum(
            2 if layer.name.endswith("_norm") else 1
            for layer in model.layers
            if layer.weights and layer.name != "logits"
        )
        assert model.count_params() == 716_691


def test_random_weights_carry_the_signal_to_the_end():
    from cxr.models.backend import keras

    keras.utils.set_random_seed(1)
    features = models.build("lite0", 128, 64, 3, 0.2)(PLANES, training=True)["features"].numpy()
    assert 0.05 < features.std() < 6


def folder_of(name, model, models_folder):
    from cxr.training.export import export_network

    folder = models_folder / name
    folder.mkdir()
    export_network(model, folder)
    write_json(
        folder / DESCRIPTION_FILE, description(name) | {"image_side": 128, "network": {"sha256": fingerprint(folder)}}
    )
    return load_model(folder)


def test_the_export_says_what_keras_says_and_joins_cnn3_of_another_side(pretrained, tmp_path):
    from cxr.inference.ensemble import assert_mean, ensemble, write_ensemble
    from cxr.training.export import assert_agreement

    cnn3 = folder_of("cnn3", models.build("cnn3", 128, 128, 3, 0.2), tmp_path)
    lite0 = folder_of("lite0", pretrained, tmp_path)
    assert assert_agreement(pretrained, lite0.network, PLANES[..., 0]) <= 1e-5
    made = ensemble([cnn3, lite0])
    write_ensemble(tmp_path / "ensemble", made)
    network = load_model(tmp_path / "ensemble").network
    assert assert_mean(network, made) <= 1e-4
    assert network.predict(PLANES[..., 0]).feature_map.shape == (4, 6, 6, 128 + 112)
    assert (tmp_path / "ensemble" / NETWORK_FILE).is_file()


def test_the_published_file_is_named_and_comes_out_of_a_wheel():
    one = PUBLISHED["lite0"]
    assert (one.filename, one.in_wheel) == ("efficientnet-lite0-57934424.pth", True)
    assert "://" not in one.origin
