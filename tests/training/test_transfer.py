"""The head on features computed once, then the last block; on drawn weights in the published layout."""

from functools import partial

import numpy as np
import pytest

from cxr.core.errors import DataError
from cxr.models import FineTuneParams, HeadParams
from cxr.training.transfer import logistic_regression
from tests import networks
from tests.networks import publish, published
from tests.published import draw_published
from tests.training.conftest import SIDE

CLASSES = ("bright", "dark")
BLOCKS = {"vgg16": "block5_", "resnet50": "conv5_"}
HEAD = {"logits/kernel", "logits/bias", "standardise/moving_mean", "standardise/moving_variance"}
BOTH = pytest.mark.parametrize("name", ["vgg16", "resnet50"])


@pytest.fixture(scope="module")
def drawn(pinned_tensorflow, tmp_path_factory):  # noqa: ARG001
    """Give a folder with drawn weights of both networks, and what is then published."""
    folder = tmp_path_factory.mktemp("weights")
    return folder, {name: draw_published(name, folder)[0] for name in BLOCKS}


@pytest.fixture
def weights(drawn, monkeypatch):
    for name, one in drawn[1].items():
        publish(monkeypatch, name, one)
    return drawn[0]


@pytest.fixture
def imagenet(transfer_recipe):
    """Give a recipe with the head alone."""
    return transfer_recipe.model_copy(update={"weights": "imagenet", "fine_tune": FineTuneParams(epochs=0)})


@pytest.fixture
def counted(monkeypatch):
    """Give the list of how many planes were sent through a backbone, one number for each time."""
    from cxr.training import transfer

    calls, original = [], transfer.pooled_features

    def spy(infer, planes, track):
        calls.append(len(planes))
        return original(infer, planes, track)

    monkeypatch.setattr(transfer, "pooled_features", spy)
    return calls


def tuned(recipe, epochs=1, rate=0.001):
    return recipe.model_copy(update={"fine_tune": FineTuneParams(epochs=epochs, learning_rate=rate)})


def build(name, weights):
    from cxr.models.layers import keras

    keras.utils.set_random_seed(3)
    return networks.build(name, SIDE, SIDE, 2, 0.2, imagenet=weights / published(name).filename)


def by_name(model):
    return {weight.path: weight.numpy() for weight in model.weights}


def changed(before, after):
    return {path for path in before if before[path].tobytes() != after[path].tobytes()}


def extracting(name, model, shared, cache=None):
    from cxr.training.transfer import feature_extractor, origin_of, weights_sha256

    return feature_extractor(model, origin_of(name, recipe(name), weights_sha256(model), shared.runtime), cache)


def recipe(name, side=SIDE, depths=3):
    return networks.recipe(name, side, weights="imagenet", head=HeadParams(depths=depths))


def run(name, model, data, recipe, extract, make_callbacks=None):
    from cxr.training.loop import examples, no_callbacks
    from cxr.training.transfer import transfer

    train, validation = (examples(*data, split, CLASSES) for split in ("train", "validation"))
    return transfer(name, model, train, validation, recipe, 3, extract, make_callbacks or no_callbacks)


@pytest.fixture
def judged(monkeypatch):
    """Give a function that lets fine-tuning report a validation loss, and notes the weights it starts with."""
    from cxr.training import transfer

    original, started = transfer.fit, {}

    def fit(model, *given, loss, **named):
        started.update(by_name(model))
        return [row | {"val_loss": loss} for row in original(model, *given, **named)]

    def judge(loss):
        monkeypatch.setattr(transfer, "fit", partial(fit, loss=loss))
        return started

    return judge


@pytest.mark.slow
@BOTH
def test_features_computed_once_are_the_networks_own_whatever_stands_beside_them(name, weights, bright_and_dark):
    from cxr.training.transfer import FEATURE_BATCH, inference_graph, pooled_features

    model, planes = build(name, weights), bright_and_dark[1][: FEATURE_BATCH + 8]
    infer = inference_graph(model)
    found = pooled_features(infer, planes)
    expected = model(planes[..., np.newaxis], training=False)["features"].numpy()
    assert found.dtype == np.float32
    assert found.std(axis=0).max() > 0
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    assert pooled_features(infer, planes[:5]).tobytes() == found[:5].tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16", pytest.param("resnet50", marks=pytest.mark.long)])
def test_first_the_head_alone_changes_then_the_convolutions_of_the_last_block_with_it(
    name, weights, bright_and_dark, imagenet, shared, judged
):
    model, between = build(name, weights), judged(loss=-1.0)
    published = by_name(model)
    phases = run(name, model, bright_and_dark, tuned(imagenet), extracting(name, model, shared))
    assert changed(published, between) == HEAD
    # All of batch normalisation is frozen: its statistics, and with them its scale.
    of_block = {path for path in published if BLOCKS[name] in path and path.endswith(("/kernel", "/bias"))}
    assert len(of_block) >= 6
    learned = changed(between, by_name(model))
    assert learned - {"logits/bias"} == of_block | {"logits/kernel"}, "of so easy a task the bias may know all"
    assert [[row["epoch"] for row in rows] for rows in phases.values()] == [[1], [2]]


@pytest.mark.slow
@pytest.mark.parametrize(("depths", "channels"), [(1, [512]), (3, [256, 512, 512])])
def test_a_map_is_standardised_by_the_variance_of_its_own_features(
    depths, channels, weights, bright_and_dark, imagenet, shared
):
    from cxr.training.transfer import SHRINKAGE

    head = imagenet.head.model_copy(update={"depths": depths})
    model = networks.build("vgg16", SIDE, SIDE, 2, 0.2, imagenet=weights / published("vgg16").filename, head=head)
    extract = extracting("vgg16", model, shared)
    run("vgg16", model, bright_and_dark, imagenet.model_copy(update={"head": head}), extract)
    table, images = bright_and_dark
    raw = extract(images[table.loc[table["split"] == "train", "index"]])
    mean, variance = model.get_layer("standardise").get_weights()
    assert mean.tobytes() == raw.mean(axis=0).tobytes()
    start = 0
    for number in channels:
        own = slice(start, start := start + number)
        expected = raw[:, own].var(axis=0)
        assert variance[own] == pytest.approx(expected + SHRINKAGE * expected.mean(), rel=1e-5)
    assert start == len(variance)


@pytest.mark.slow
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_losses_of_the_head_are_those_that_keras_finds(smoothing, weights, bright_and_dark, imagenet, shared):
    from cxr.models.layers import keras
    from cxr.training.loop import examples

    model = build("vgg16", weights)
    recipe = imagenet.model_copy(update={"label_smoothing": smoothing})
    (row,) = run("vgg16", model, bright_and_dark, recipe, extracting("vgg16", model, shared))["head"]
    logits = keras.Model(model.inputs, model.output["logits"])
    for part, softer, column in (("train", smoothing, "loss"), ("validation", 0.0, "val_loss")):
        asked = examples(*bright_and_dark, part, CLASSES)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=softer)
        logits.compile(loss=loss)
        expected = logits.evaluate(asked.planes[..., np.newaxis], asked.targets, verbose=0)
        assert row[column] == pytest.approx(expected, abs=1e-4)
    assert (row["loss"] > 0.1) == bool(smoothing), "labels that are spread cannot be met exactly"


@pytest.mark.slow
def test_where_fine_tuning_is_no_better_the_heads_weights_stay(weights, bright_and_dark, imagenet, shared, judged):
    model, between = build("vgg16", weights), judged(loss=1e9)
    phases = run("vgg16", model, bright_and_dark, tuned(imagenet), extracting("vgg16", model, shared))
    assert list(phases) == ["head", "fine_tune"]
    assert changed(between, by_name(model)) == set()


@pytest.mark.slow
def test_of_equal_losses_and_of_none_the_first_phase_wins():
    from cxr.training.transfer import is_better

    head, better, none = [{"val_loss": 0.5}, {"val_loss": 0.4}], [{"val_loss": 0.3}], [{"val_loss": float("nan")}]
    assert is_better(better, head)
    assert not is_better(head, head)
    assert not is_better(none, head)


@pytest.mark.slow
def test_no_byte_depends_on_the_cache_or_on_who_watches(
    weights, bright_and_dark, imagenet, shared, tmp_path, counted, capfd
):
    from cxr.models.layers import keras

    seen = []

    def make_callbacks(phase):
        seen.append(phase)
        planes = np.ones((4, SIDE, SIDE, 1))
        look = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: look.model.predict(planes, verbose=0))
        return [look]

    def weights_and_history(looking=None):
        model = build("vgg16", weights)
        extract = extracting("vgg16", model, shared, tmp_path)
        history = run("vgg16", model, bright_and_dark, tuned(imagenet), extract, looking)
        return by_name(model), history

    missed, history = weights_and_history()
    hit, watched = weights_and_history(make_callbacks)
    assert counted == [48, 16]
    assert changed(missed, hit) == set()
    assert history == watched
    said = capfd.readouterr().err
    assert said.count("vgg16: computing the features of 48 images, once for all epochs\n") == 1
    assert said.count("vgg16 head  loss ") == 2
    assert said.count("vgg16 epoch 2/2 ") == 2
    assert [(one.network, one.name, one.first_epoch) for one in seen] == [("vgg16", "fine_tune", 1)]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    "harm",
    [
        lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:],
        lambda content: content[:-40],
        lambda content: content[:10],
        lambda _: b"",
    ],
    ids=["altered", "truncated", "cut to the header", "emptied"],
)
def test_a_damaged_file_gives_way_to_the_same_features(harm, weights, bright_and_dark, shared, tmp_path, counted):
    extract = extracting("vgg16", build("vgg16", weights), shared, tmp_path)
    first = extract(bright_and_dark[1])
    (file,) = tmp_path.rglob("*.npz")
    whole = file.read_bytes()
    file.write_bytes(harm(whole))
    assert extract(bright_and_dark[1]).tobytes() == first.tobytes()
    assert file.read_bytes() == whole
    assert counted == [80, 80]


@pytest.mark.slow
def test_another_head_reads_the_cache_and_another_plane_or_weight_does_not(
    weights, bright_and_dark, imagenet, shared, tmp_path, counted, monkeypatch
):
    model, (_, images) = build("vgg16", weights), bright_and_dark
    extract = extracting("vgg16", model, shared, tmp_path)
    run("vgg16", model, bright_and_dark, imagenet, extract)
    before = by_name(model)
    freer = imagenet.model_copy(update={"head": HeadParams(strength=1.0)})
    run("vgg16", model, bright_and_dark, freer, extract)
    assert counted == [48, 16]
    after = by_name(model)
    assert "logits/kernel" in changed(before, after) <= {"logits/kernel", "logits/bias"}
    assert (after["logits/kernel"] ** 2).sum() > (before["logits/kernel"] ** 2).sum()

    first = extract(images)
    counted.clear()
    altered = images.copy()
    altered[7, 0, 0] ^= 1
    assert np.flatnonzero((first != extract(altered)).any(axis=1)).tolist() == [7]
    assert extract(images[::-1]).tobytes() == first[::-1].tobytes()
    assert counted == [1]
    publish(monkeypatch, "vgg16", redrawn(weights, tmp_path))
    other = build("vgg16", tmp_path)
    assert (extracting("vgg16", other, shared, tmp_path)(images[:20]) != first[:20]).any()
    assert counted == [1, 20]


def redrawn(weights, folder):
    """Copy the drawn VGG16 with one number of its first layer changed."""
    import shutil
    from dataclasses import replace

    import h5py

    from cxr.models import md5_of

    path = folder / published("vgg16").filename
    shutil.copy(weights / path.name, path)
    with h5py.File(path, "r+") as file:
        names = []
        file["block1_conv1"].visit(names.append)
        kernel = next(file["block1_conv1"][name] for name in names if "kernel" in name)
        kernel[0, 0, 0, 0] += 0.5
    return replace(published("vgg16"), md5=md5_of(path))


@pytest.mark.slow
def test_the_head_learns_and_the_export_of_both_phases_agrees_with_keras(
    weights, bright_and_dark, imagenet, shared, tmp_path
):
    from cxr.imaging.decode import plane_rule
    from cxr.inference.model_folder import load_model
    from cxr.training.train import train_network, write_trained

    trained = train_network("vgg16", *bright_and_dark, shared, tuned(imagenet), weights)
    write_trained(tmp_path / "model", trained, plane_rule())
    assert trained.description["initialisation"] == "imagenet"
    assert trained.description["training"]["phases"] == {"head": 1, "fine_tune": 1}
    assert trained.history[0]["val_accuracy"] == 1.0
    table, images = bright_and_dark
    test = table[table["split"] == "test"]
    answers = load_model(tmp_path / "model").network.logits(images[test["index"]]).argmax(axis=1)
    assert [CLASSES[answer] for answer in answers] == test["label"].tolist()


def test_features_follow_from_network_weights_side_depths_arithmetic_code_and_environment(shared, monkeypatch):
    from cxr.training import transfer

    one_thread = shared.runtime.model_copy(update={"intra_op_threads": 1})
    origins = [
        transfer.origin_of("vgg16", recipe("vgg16"), "a", shared.runtime),
        transfer.origin_of("resnet50", recipe("vgg16"), "a", shared.runtime),
        transfer.origin_of("vgg16", recipe("vgg16", side=48), "a", shared.runtime),
        transfer.origin_of("vgg16", recipe("vgg16", depths=2), "a", shared.runtime),
        transfer.origin_of("vgg16", recipe("vgg16"), "b", shared.runtime),
        transfer.origin_of("vgg16", recipe("vgg16"), "a", one_thread),
    ]
    assert transfer.origin_of("vgg16", recipe("vgg16"), "a", shared.runtime) == origins[0]
    monkeypatch.setattr(transfer, "environment", lambda: {"numpy": "other"})
    origins.append(transfer.origin_of("vgg16", recipe("vgg16"), "a", shared.runtime))
    assert all(one != other for number, one in enumerate(origins) for other in origins[:number])


FILM_CLASSES = ("covid", "normal", "viral_pneumonia")


def drawn_films(classes, films=60):
    generator = np.random.default_rng(5)
    labels = [classes[number % len(classes)] for number in range(films)]
    features = generator.normal(size=(films, 4)) + np.eye(len(classes), 4)[np.arange(films) % len(classes)]
    return features, labels, generator.uniform(0.5, 1.5, films)


@pytest.mark.parametrize("classes", [FILM_CLASSES, FILM_CLASSES[:2]])
def test_at_the_minimum_the_penalty_holds_what_the_films_pull(classes):
    features, labels, weights = drawn_films(classes)
    kernel, bias = logistic_regression(features, labels, classes, 0.3, weights)
    logits = features @ kernel + bias
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    missing = (np.array([[label == name for name in classes] for label in labels]) - shares) * weights[:, np.newaxis]
    # Of two classes the penalty is on the squares of the difference, twice those of both.
    strength = 0.3 / (2 if len(classes) == 2 else 1)
    assert kernel == pytest.approx(strength * features.T @ missing, abs=1e-3)
    assert missing.sum(axis=0) == pytest.approx(0, abs=1e-2)
    assert np.abs(kernel).max() > 0.1


def test_a_film_of_twice_the_weight_counts_as_two():
    features, labels, weights = drawn_films(FILM_CLASSES)
    doubled = logistic_regression(features, labels, FILM_CLASSES, 0.3, weights * 2)
    twice = logistic_regression(np.tile(features, (2, 1)), labels * 2, FILM_CLASSES, 0.3, np.tile(weights, 2))
    for one, other in zip(doubled, twice, strict=True):
        assert one == pytest.approx(other, abs=1e-3)


def test_a_class_without_a_film_is_named():
    features, labels, weights = drawn_films(FILM_CLASSES[:2])
    with pytest.raises(DataError, match="the class viral_pneumonia has no film that the last layer could learn from"):
        logistic_regression(features, labels, FILM_CLASSES, 0.3, weights)
