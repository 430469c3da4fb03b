"""The last layer fitted anew: sources count alike, nothing of a hospital that is left out is used, squares are seen."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import DataError, ParamsError
from cxr.inference.network import LinearHead
from tests.tables import manifest

CLASSES = ("covid", "normal")
SIDE = 16


@pytest.fixture
def last_layer():
    from cxr.training import last_layer

    return last_layer


@pytest.fixture
def films(last_layer):
    """Two features: the first is the finding, the second tells the collections apart, of which `home` holds all normals
    that the layers before learnt from."""
    random, rows, features = np.random.default_rng(5), [], []
    for label, source, split, count in [
        ("covid", "away", "train", 60),
        ("normal", "home", "train", 60),
        ("covid", "away", "validation", 20),
        ("normal", "home", "validation", 20),
        ("normal", "first", "elsewhere", 40),
        ("normal", "second", "elsewhere", 40),
    ]:
        finding, collection = 1.5 * (label == "covid"), 3.0 * (source != "home")
        features.append(random.normal([finding, collection], [0.5, 0.3], (count, 2)))
        rows += [(label, source, split)] * count
    table = pd.DataFrame(rows, columns=["label", "source", "split"])
    table["file"] = [f"{number:03}.png" for number in range(len(table))]
    table["group"] = np.arange(len(table)) // 2
    table["plane_sha256"] = [f"{number:064x}" for number in range(len(table))]
    return last_layer.Films(table, np.concatenate(features), CLASSES, nothing_before())


def nothing_before(features=2):
    return LinearHead(np.zeros((features, 2)), np.zeros(2))


def params(last_layer, **changes):
    return last_layer.LastLayerParams(**{"hospitals": ("first", "second"), "strength": 1.0, "kept": 0.0} | changes)


def called_covid(table):
    return (table["logit_covid"] > table["logit_normal"]).mean()


def test_a_hospital_left_out_is_called_normal_once_another_is_learnt_from(last_layer, films):
    known_only = ~films.table["source"].isin(["first", "second"]).to_numpy()
    head = last_layer.fit_last_layer(films, known_only, params(last_layer))
    assert called_covid(films.logits(head, ~known_only)) > 0.3
    answers = last_layer.leave_hospitals_out(films, params(last_layer))
    held = answers[answers["split"] == "held_out"]
    assert sorted(set(held["held_out"])) == ["first", "second"]
    assert len(held) == 80
    assert called_covid(held) < 0.15


def test_nothing_of_the_hospital_left_out_decides_what_is_said_without_it(last_layer, films):
    before = last_layer.leave_hospitals_out(films, params(last_layer))
    films.features[(films.table["source"] == "first").to_numpy()] += 100
    after = last_layer.leave_hospitals_out(films, params(last_layer))
    without = (before["held_out"] == "first") & (before["split"] == "validation")
    assert before[without].equals(after[without])
    assert not before[~without].equals(after[~without])


def test_decisions_are_fitted_on_each_film_once_and_by_a_layer_that_did_not_learn_from_it(last_layer, films):
    found = last_layer.calibration(films, params(last_layer))
    expected = films.table[(films.table["split"] == "validation") | films.table["source"].isin(["first", "second"])]
    assert found["file"].tolist() == sorted(expected["file"])
    assert found["actual"].tolist() == expected.sort_values("file")["label"].tolist()
    odd = (films.table["file"] == found["file"][0]).to_numpy()
    films.features[odd] *= 50
    again = last_layer.calibration(films, params(last_layer))
    moved = found["logit_covid"][0], again["logit_covid"][0]
    scale = films.features[odd][0] @ [1, 0] / 50
    assert abs(moved[1]) > abs(moved[0]) or abs(scale) < 0.1


@pytest.mark.parametrize("source", ["home", "first"])
def test_what_a_film_is_said_to_be_does_not_move_the_answer_about_it(last_layer, films, source):
    chosen = (films.table["source"] == source) & films.table["split"].isin(["validation", "elsewhere"])
    file = films.table.loc[chosen, "file"].iloc[0]
    wrong = films.table.assign(label=films.table["label"].where(films.table["file"] != file, "covid"))
    before, after = (
        last_layer.calibration(replace(films, table=table), params(last_layer)).set_index("file")
        for table in (films.table, wrong)
    )
    logits = ["logit_covid", "logit_normal"]
    assert before.loc[file, logits].tolist() == after.loc[file, logits].tolist()
    assert not before[logits].equals(after[logits])  # those about others may


def test_classes_count_alike_and_in_each_its_sources_with_unseen_films_heavier(last_layer, films):
    weights = pd.Series(last_layer._film_weights(films.table, params(last_layer, unseen=4.0)))
    assert weights.mean() == pytest.approx(1)
    by_class = weights.groupby(films.table["label"]).sum()
    assert by_class["covid"] == pytest.approx(by_class["normal"])
    normal = weights[films.table["label"] == "normal"].groupby(films.table["source"]).sum()
    assert normal.to_numpy() == pytest.approx(normal.mean())
    home = weights[films.table["source"] == "home"].groupby(films.table["split"]).mean()
    assert home["validation"] == pytest.approx(4 * home["train"])


@pytest.fixture
def tables():
    """A split table of one collection, and a manifest with films of two hospitals more."""
    whole = manifest({"covid": 10, "normal": 10}).assign(source="release")
    whole.loc[[2, 3, 12, 13], "source"] = ["first", "second", "first", "second"]
    split = whole[whole["source"] == "release"].assign(split="test")
    return split.assign(group=split["index"]), whole


def test_films_of_the_hospitals_stand_below_the_split_table_as_a_split_of_their_own(last_layer, tables):
    split, whole = tables
    table = last_layer.films_table(split, whole, params(last_layer, learns=CLASSES), CLASSES)
    assert table["split"].tolist() == ["test"] * 16 + ["elsewhere"] * 4
    assert table["index"].tolist()[16:] == [2, 3, 12, 13]
    assert len(set(table["group"])) == 20
    said = last_layer.elsewhere(table)
    assert said["films"] == {"first": {"covid": 1, "normal": 1}, "second": {"covid": 1, "normal": 1}}


def test_what_shows_a_film_or_patient_of_the_split_table_is_not_learnt_from(last_layer, tables):
    split, whole = tables
    whole.loc[[2], "duplicate_group"] = 0
    whole.loc[[0, 3], "patient"] = "p1"
    split.loc[[0], "patient"] = "p1"
    whole.loc[[13], "pixels_sha256"] = whole.loc[12, "pixels_sha256"]
    table = last_layer.films_table(split, whole, params(last_layer, learns=CLASSES), CLASSES)
    assert table.loc[table["split"] == "elsewhere", "index"].tolist() == [12]


def test_a_hospital_that_the_layers_before_learnt_from_is_an_error(last_layer, tables):
    _, whole = tables
    split = whole.assign(split="train", group=whole["index"])
    with pytest.raises(ParamsError, match=r"names first, .*add it to balance\.without"):
        last_layer.films_table(split, whole, params(last_layer), CLASSES)


def test_a_hospital_that_is_no_source_is_an_error(last_layer, films):
    with pytest.raises(ParamsError, match=r"last_layer\.hospitals names third, which is no source"):
        last_layer.films_table(films.table, films.table, params(last_layer, hospitals=("third",)), CLASSES)


def test_films_of_classes_that_are_not_learnt_are_only_asked_about(last_layer, tables):
    split, whole = tables
    table = last_layer.films_table(split, whole, params(last_layer), CLASSES)
    assert table["split"].tolist()[16:] == ["asked", "asked", "elsewhere", "elsewhere"]
    learned = ["train", "validation"] * 8
    table = table.assign(split=[*learned, *table["split"][16:]], plane_sha256="")
    films = last_layer.Films(table, np.eye(20), CLASSES, nothing_before(20))
    found = last_layer.leave_hospitals_out(films, params(last_layer))
    assert found.loc[found["split"] == "held_out", "actual"].tolist() == ["covid", "normal"] * 2


def test_a_share_of_the_layer_before_is_kept(last_layer, films):
    old = LinearHead(np.full((2, 2), 7.0), np.array([1.0, -1.0]))
    all_films = np.ones(len(films.table), bool)
    new = last_layer.fit_last_layer(films, all_films, params(last_layer))
    mixed = last_layer.fit_last_layer(replace(films, before=old), all_films, params(last_layer, kept=0.25))
    assert mixed.weights == pytest.approx(0.75 * new.weights + 0.25 * old.weights, rel=1e-5)
    assert mixed.bias == pytest.approx(0.75 * new.bias + 0.25 * old.bias, rel=1e-5)


def test_a_patient_of_two_hospitals_is_left_out_with_either(last_layer, films):
    films.table.loc[0, "group"] = films.table.loc[films.table["source"] == "first", "group"].iloc[0]
    before = last_layer.leave_hospitals_out(films, params(last_layer))
    films.features[0] += 100
    after = last_layer.leave_hospitals_out(films, params(last_layer))
    first = before["held_out"] == "first"
    assert before[first].equals(after[first])
    assert not before[~first].equals(after[~first])


def test_a_class_without_films_is_an_error(last_layer, films):
    normal = (films.table["label"] == "normal").to_numpy()
    with pytest.raises(DataError, match="the class covid has no film"):
        last_layer.fit_last_layer(films, normal, params(last_layer))


def test_without_hospitals_there_are_no_rows_but_the_columns(last_layer, films):
    found = last_layer.leave_hospitals_out(films, last_layer.LastLayerParams())
    assert found.empty
    assert found.columns.tolist()[:6] == ["network", "held_out", "file", "split", "actual", "plane_sha256"]


@pytest.mark.slow
def test_squares_and_cubes_stand_beside_the_map_and_the_last_layer_is_linear_in_what_is_pooled(last_layer):
    from cxr.models.layers import convolution, keras, network, plane_input

    planes, pixels = plane_input(SIDE, SIDE)
    inner = network(planes, convolution(pixels, 4), 2, 0.0)
    model = last_layer.with_moments(inner, 0.0)
    some = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE), np.uint8)
    maps, features = inner(some[..., None])["feature_map"].numpy(), last_layer.pooled(model, some)
    assert features[:, :4] == pytest.approx(maps.mean(axis=(1, 2)), rel=1e-5)
    assert features[:, 4:8] == pytest.approx((maps.astype(float) ** 2).mean(axis=(1, 2)), rel=1e-5)
    assert features[:, 8:] == pytest.approx((np.maximum(maps, 0).astype(float) ** 3).mean(axis=(1, 2)), rel=1e-5)
    before = last_layer.layer_before(inner)
    assert inner(some[..., None])["logits"].numpy() == pytest.approx(features @ before.weights + before.bias, rel=1e-4)
    head = LinearHead(*(np.random.default_rng(2).normal(size=size).astype(np.float32) for size in ((12, 2), 2)))
    model.get_layer("logits").set_weights([head.weights, head.bias])
    logits = keras.Model(model.inputs, model.output["logits"])(some[..., None]).numpy()
    assert logits == pytest.approx(features @ head.weights + head.bias, rel=1e-4, abs=1e-4)


def log_loss(table):
    logits = table[["logit_covid", "logit_normal"]].to_numpy()
    right = np.where(table["actual"] == "covid", 0, 1)
    return np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(table)), right]


def alike(table):
    return pd.Series(log_loss(table)).groupby(table["actual"].to_numpy()).mean().mean()


def test_the_scaling_is_that_of_least_loss_about_films_not_learnt_from(last_layer, films):
    raw_head, raw = last_layer.fitted(films, params(last_layer))
    head, scaled = last_layer.fitted(films, params(last_layer, calibrate=True))
    assert alike(scaled) < alike(raw)
    for scale, shift in ((1.05, 0.0), (0.95, 0.0), (1.0, 0.1), (1.0, -0.1)):
        logits = scaled[["logit_covid", "logit_normal"]] * scale + [shift, -shift]
        assert alike(scaled.assign(**logits)) > alike(scaled)
    found = last_layer.BiasCorrectedTemperature.of(raw, CLASSES)
    assert head.weights == pytest.approx(raw_head.weights * found.scale, rel=1e-5)
    assert head.bias == pytest.approx(raw_head.bias * found.scale + found.biases, abs=1e-5)
    assert found.biases.sum() == pytest.approx(0, abs=1e-3)


def test_scaling_takes_back_what_was_added_and_classes_count_alike_in_it(last_layer):
    random = np.random.default_rng(3)
    odds = random.normal(0, 2, 4000)
    actual = np.where(random.random(4000) < 1 / (1 + np.exp(-odds)), "covid", "normal")
    table = pd.DataFrame({"actual": actual, "logit_covid": odds + 3, "logit_normal": -odds - 3})
    found = last_layer.BiasCorrectedTemperature.of(table, CLASSES)
    assert found.scale == pytest.approx(0.5, abs=0.05)
    assert found.biases == pytest.approx([-1.5, 1.5], abs=0.2)
    thrice = pd.concat([table, table[table["actual"] == "normal"], table[table["actual"] == "normal"]])
    assert last_layer.BiasCorrectedTemperature.of(thrice, CLASSES).biases == pytest.approx(found.biases, abs=1e-3)


def test_scaling_needs_answers_about_every_class(last_layer, films):
    table = films.table
    table.loc[(table["split"] == "validation") & (table["label"] == "covid"), "split"] = "train"
    with pytest.raises(DataError, match="no film of covid, so the last layer cannot be calibrated"):
        last_layer.fitted(films, params(last_layer, calibrate=True))


@pytest.mark.parametrize("calibrate", [False, True])
def test_the_layer_without_a_hospital_owes_it_no_scaling_either(last_layer, films, calibrate):
    before = last_layer.fitted(films, params(last_layer, calibrate=calibrate), ["first"])
    films.features[(films.table["source"] == "first").to_numpy()] += 100
    after = last_layer.fitted(films, params(last_layer, calibrate=calibrate), ["first"])
    assert (before[0].weights == after[0].weights).all()
    assert (before[0].bias == after[0].bias).all()
    assert before[1].equals(after[1])


def test_a_small_validation_has_as_many_folds_as_it_has_groups_and_one_group_is_an_error(last_layer, films):
    table = films.table.copy()
    small = table["split"] == "validation"
    table.loc[small, "group"] = np.arange(small.sum()) % 3 + 1000
    assert small.sum() + 80 == len(last_layer.calibration(replace(films, table=table), params(last_layer)))
    table.loc[small, "group"] = 1000
    with pytest.raises(DataError, match=r"raise split\.validation"):
        last_layer.calibration(replace(films, table=table), params(last_layer))
