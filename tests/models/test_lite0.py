"""EfficientNet-Lite0: published weights arrive one for one, random ones carry the signal, the export agrees."""

import numpy as np
import pytest
from ruamel.yaml import YAML

from cxr.core.errors import WeightsError
from cxr.core.files import write_json
from cxr.inference.model_folder import load_model
from cxr.inference.network import DESCRIPTION_FILE, NETWORK_FILE, fingerprint
from tests.evaluation.cases import description
from tests.imports import ROOT
from tests.networks import build, published
from tests.published import draw_lite0

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("pinned_tensorflow")]

PLANES = np.random.default_rng(0).integers(0, 256, (4, 128, 128, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def drawn(pinned_tensorflow, tmp_path_factory):  # noqa: ARG001  first of all
    """Give the file of drawn weights and what is in it."""
    folder = tmp_path_factory.mktemp("lite0")
    one, arrays = draw_lite0(folder)
    return folder / one.filename, arrays


@pytest.fixture(scope="module")
def pretrained(drawn):
    return build("lite0", 128, 96, 3, 0.2, imagenet=drawn[0])


def test_it_takes_a_plane_and_gives_the_three_outputs(pretrained):
    said = pretrained(PLANES, training=False)
    assert {name: tuple(output.shape) for name, output in said.items()} == {
        "logits": (4, 3), "features": (4, 112), "feature_map": (4, 6, 6, 112),
    }  # fmt: skip
    np.testing.assert_allclose(said["features"], said["feature_map"].numpy().mean(axis=(1, 2)), atol=1e-5)
    assert 0.01 < said["features"].numpy().std() < 6


def test_every_weight_but_those_of_the_last_layer_is_that_of_the_file(pretrained, drawn):
    _, arrays = drawn
    found = {weight.path: weight.numpy() for weight in pretrained.weights}
    assert set(found) - set(arrays) == {"logits/kernel", "logits/bias", "dropout/seed_generator_state"} & set(found)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"block7_depthwise_norm/beta": None}, "block7_depthwise_norm/beta"),
        ({"block16_depthwise_norm/beta": np.zeros(3, np.float32)}, "block16_depthwise_norm/beta"),
        ({"stem_norm/beta": np.zeros(31, np.float32)}, "stem_norm/beta"),
        ({"block9_project/kernel": np.zeros((1, 1, 112, 672), np.float32)}, "block9_project/kernel"),
    ],
)
def test_weights_of_another_network_are_refused(changes, said, drawn, tmp_path):
    arrays = {name: array for name, array in (drawn[1] | changes).items() if array is not None}
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(WeightsError, match=rf"w\.npz is of another network: {said} are not the same in both"):
        build("lite0", 64, 32, 3, 0.2, imagenet=tmp_path / "w.npz")


@pytest.mark.parametrize("content", [b"", b"text\n", b"PK\x03\x04, but no archive"])
def test_what_is_no_file_of_arrays_is_refused(content, tmp_path):
    (tmp_path / "w.npz").write_bytes(content)
    with pytest.raises(WeightsError, match=r"w\.npz cannot be read as arrays"):
        build("lite0", 64, 32, 3, 0.2, imagenet=tmp_path / "w.npz")


def test_the_published_weights_are_tracked_by_dvc_and_pinned_to_the_remote_of_the_sample():
    tracked = YAML(typ="safe").load(ROOT / "weights/lite0/imagenet.npz.dvc")["outs"][0]
    pinned = published("lite0")
    assert (tracked["path"], tracked["md5"], tracked["remote"]) == (pinned.filename, pinned.md5, "sample")
    kept = ROOT / ".dvc/sample-store/files/md5" / pinned.md5[:2] / pinned.md5[2:]
    model = build("lite0", 64, 32, 3, 0.2, imagenet=kept)
    features = model(PLANES[:, :64, :64], training=False)["features"].numpy()
    assert 0.1 < features.std() < 100


def test_all_weights_learn_whatever_they_start_from(pretrained):
    random = build("lite0", 64, 32, 3, 0.2)
    for model in (pretrained, random):
        assert len(model.trainable_weights) == 2 + sum(
            2 if layer.name.endswith("_norm") else 1
            for layer in model.layers
            if layer.weights and layer.name != "logits"
        )
        assert model.count_params() == 716_691


def test_random_weights_carry_the_signal_to_the_end():
    from cxr.models.layers import keras

    keras.utils.set_random_seed(1)
    features = build("lite0", 128, 64, 3, 0.2)(PLANES, training=True)["features"].numpy()
    assert 0.05 < features.std() < 6


def folder_of(name, model, models_folder):
    from cxr.training.train import export_network

    folder = models_folder / name
    folder.mkdir()
    export_network(model, folder)
    write_json(
        folder / DESCRIPTION_FILE, description(name) | {"image_side": 128, "network": {"sha256": fingerprint(folder)}}
    )
    return load_model(folder)


def test_the_export_says_what_keras_says_and_joins_cnn3_of_another_side(pretrained, tmp_path):
    from cxr.inference.ensemble import assert_mean, ensemble, write_ensemble
    from cxr.training.train import assert_agreement

    cnn3 = folder_of("cnn3", build("cnn3", 128, 128, 3, 0.2), tmp_path)
    lite0 = folder_of("lite0", pretrained, tmp_path)
    assert assert_agreement(pretrained, lite0.network, PLANES[..., 0]) <= 1e-5
    made = ensemble([cnn3, lite0])
    write_ensemble(tmp_path / "ensemble", made)
    network = load_model(tmp_path / "ensemble").network
    assert assert_mean(network, made) <= 1e-4
    assert network.predict(PLANES[..., 0]).feature_map.shape == (4, 6, 6, 128 + 112)
    assert (tmp_path / "ensemble" / NETWORK_FILE).is_file()
