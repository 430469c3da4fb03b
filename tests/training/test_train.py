from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import DataError, ModelError, ParamsError, WeightsError
from cxr.imaging.decode import plane_rule
from cxr.inference.model_folder import load_model
from cxr.inference.network import softmax
from tests.networks import build, publish
from tests.published import draw_lite0

pytestmark = pytest.mark.slow

NOWHERE = Path("nowhere")


def train(name, data, shared, recipe, folder, weights=NOWHERE):
    from cxr.training.train import train_network, write_trained

    write_trained(folder, train_network(name, *data, shared, recipe, weights), plane_rule())
    return folder


def test_a_network_learns_to_tell_bright_from_dark_and_its_export_says_so(bright_and_dark, shared, recipe, tmp_path):
    model = load_model(train("cnn1", bright_and_dark, shared, recipe.model_copy(update={"epochs": 8}), tmp_path))
    table, images = bright_and_dark
    test = table[table["split"] == "test"]
    answers = softmax(model.network.logits(images[test["index"]])).argmax(axis=1)
    assert [model.classes[answer] for answer in answers] == test["label"].tolist()


@pytest.mark.long
def test_no_byte_depends_on_how_many_steps_tensorflow_takes_at_once(bright_and_dark, shared, recipe, monkeypatch):
    from cxr.training import loop
    from cxr.training.train import train_network

    weights = []
    for steps in (1, 8):
        monkeypatch.setattr(loop, "STEPS_PER_CALL", steps)
        trained = train_network("cnn1", *bright_and_dark, shared, recipe, NOWHERE)
        weights.append(b"".join(weight.tobytes() for weight in trained.model.get_weights()))
    assert weights[0] == weights[1]


def test_a_network_larger_than_the_plane_is_refused(bright_and_dark, shared, recipe, tmp_path):
    larger = recipe.model_copy(update={"side": 48})
    with pytest.raises(ParamsError, match=r"train_cnn1\.side is 48, but the planes have 32 pixels"):
        train("cnn1", bright_and_dark, shared, larger, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_kept_has_the_weights_of_the_best_epoch(bright_and_dark, shared, recipe, tmp_path):
    folder = train("cnn1", bright_and_dark, shared, recipe.model_copy(update={"epochs": 4, "patience": 4}), tmp_path)
    losses = pd.read_csv(folder / "history.csv")["val_loss"]
    assert losses.nunique() > 1
    model, (table, images) = load_model(folder), bright_and_dark
    asked = table[table["split"] == "validation"]
    probabilities = softmax(model.network.logits(images[asked["index"]]))
    right = probabilities[np.arange(len(asked)), asked["label"].map(model.classes.index)]
    assert -np.log(right).mean() == pytest.approx(losses.min(), abs=1e-5)


def test_the_network_rejects_an_altered_file(bright_and_dark, shared, recipe, tmp_path):
    folder = train("cnn1", bright_and_dark, shared, recipe, tmp_path)
    weights = bytearray((folder / "network.bin").read_bytes())
    weights[100] ^= 1
    (folder / "network.bin").write_bytes(weights)
    with pytest.raises(ModelError, match="take the whole folder from one run"):
        load_model(folder)


def test_an_export_that_disagrees_with_keras_is_refused(bright_and_dark, tmp_path):
    from cxr.inference.network import Network
    from cxr.training.train import assert_agreement, export_network

    one, other = (build("cnn1", 32, 32, 2, 0.2) for _ in range(2))
    export_network(one, tmp_path)
    network, planes = Network(tmp_path / "network.xml"), bright_and_dark[1][:4]
    assert assert_agreement(one, network, planes) <= 1e-5
    with pytest.raises(ModelError, match="the exported network differs from Keras by"):
        assert_agreement(other, network, planes)


@pytest.mark.parametrize(
    ("name", "kind", "command"),
    [("vgg16", "transfer_recipe", "cxr-data weights vgg16"), ("lite0", "fine_tuned_recipe", "dvc pull weights/lite0")],
)
def test_imagenet_without_the_file_is_an_error_and_never_random(
    name, kind, command, bright_and_dark, shared, request, tmp_path
):
    imagenet = request.getfixturevalue(kind).model_copy(update={"weights": "imagenet"})
    with pytest.raises(WeightsError, match=command):
        train(name, bright_and_dark, shared, imagenet, tmp_path / "out", weights=tmp_path)
    assert not (tmp_path / "out").exists()


def test_all_of_lite0_learns_on_from_imagenet(bright_and_dark, shared, fine_tuned_recipe, tmp_path, monkeypatch):
    from cxr.training import train as training
    from cxr.training.loop import weighted

    one, drawn = draw_lite0(tmp_path)
    publish(monkeypatch, "lite0", one)
    weighed = []
    monkeypatch.setattr(training, "weighted", lambda *given: weighed.append(given[2]) or weighted(*given))
    changes = {"weights": "imagenet", "epochs": 1, "learning_rate": 1e-5, "weight_decay": 0.0, "even_sources": 0.5}
    recipe = fine_tuned_recipe.model_copy(update=changes)
    trained = training.train_network("lite0", *bright_and_dark, shared, recipe, tmp_path)
    assert trained.description["initialisation"] == "imagenet"
    assert trained.description["training"]["phases"] == {"whole": 1}
    assert weighed == [0.5]
    for layer in ("block0_depthwise", "block10_project"):
        (kernel,) = trained.model.get_layer(layer).get_weights()
        assert 0 < np.abs(kernel - drawn[f"{layer}/kernel"]).max() < 1e-4


def test_a_label_outside_the_classes_is_refused(bright_and_dark, shared, recipe, tmp_path):
    table, images = bright_and_dark
    with pytest.raises(DataError, match=r"labels \['grey'\] that are not in params.yaml 'classes'"):
        train("cnn1", (table.replace("dark", "grey"), images), shared, recipe, tmp_path)


def test_the_network_takes_the_plane_and_resizes_it_itself():
    model = build("cnn1", 64, 32, 2, 0.0)
    assert model.input_shape == (None, 64, 64, 1)
    assert model.inputs[0].dtype == "uint8"
    outputs = model(np.zeros((2, 64, 64, 1), np.uint8), training=False)
    assert set(outputs) == {"logits", "features", "feature_map"}


@pytest.mark.parametrize(
    ("name", "side", "cost"),
    [
        ("cnn1", 128, 0.0781),
        ("cnn3", 128, 0.1337),
        ("vgg16", 48, 1.4103),
        ("resnet50", 64, 0.633),
        ("lite0", 120, 0.1489),
    ],
)
def test_an_image_costs_what_the_recipes_say(name, side, cost):
    from cxr.training.train import gflop

    assert gflop(build(name, 128, side, 3, 0.2)) == cost
