"""Decisions are fitted on validation; of train only the pixels' digests are kept, and nothing of test."""

from dataclasses import replace

import numpy as np
import pytest

from cxr.decisions import parse_decisions
from cxr.errors import DataError, ParamsError
from cxr.evaluation.deciding import decide
from cxr.evaluation.params import EvaluateParams
from cxr.planes import pixels_digest
from tests.evaluation.cases import CLASSES, PARAMS, model, planes, saved, split_table


@pytest.fixture
def table():
    table = split_table()
    sides = np.random.default_rng(3).integers(200, 400, (2, len(table)))
    return table.assign(width=sides[0], height=sides[1])


def decided(table, said=None, images=None, params=PARAMS):
    said, images = said or saved(table), planes(table) if images is None else images
    return decide(model(), said, table, images, params)


def altered(table, split):
    """Return table, outputs and planes in which every fact of one split is another."""
    rows = (table["split"] == split).to_numpy()
    said, images, table, random = saved(table), planes(table), table.copy(), np.random.default_rng(5)
    logits, truth = said.logits.copy(), said.truth.copy()
    logits[rows] = random.normal(size=(rows.sum(), 3))
    truth[rows] = random.permutation(truth[rows])
    images[rows] = images[rows] // 3
    table.loc[rows, ["width", "height"]] = 1000
    return table, replace(said, logits=logits, truth=truth), images


def test_nothing_of_the_test_split_is_looked_at(table):
    assert decided(*altered(table, "test")) == decided(table)


def test_of_the_training_split_only_the_digests_are_looked_at(table):
    before, after = decided(table), decided(*altered(table, "train"))
    assert not set(after.pop("training_pixels")) & set(before.pop("training_pixels"))
    assert after == before


@pytest.mark.parametrize("key", ["temperature", "operating_points", "conformal", "reference"])
def test_the_validation_split_decides(table, key):
    assert decided(*altered(table, "validation"))[key] != decided(table)[key]


def test_the_order_of_the_rows_changes_nothing(table):
    other = table.sample(frac=1, random_state=1).reset_index(drop=True)
    order, said = other["index"].to_numpy(), saved(table)
    columns = ("files", "index", "truth", "split", "source", "group", "logits", "features")
    shuffled = replace(said, **{name: getattr(said, name)[order] for name in columns})
    again, first = decided(other, shuffled), decided(table, said)
    # A loss summed in another order differs in its last digits, and with it the temperature and all thresholds.
    assert again["temperature"] == pytest.approx(first["temperature"], rel=1e-4)
    assert again["conformal"]["minimum"] == pytest.approx(first["conformal"]["minimum"], rel=1e-3)
    assert again["training_pixels"] == first["training_pixels"]
    for key in ("predictions", "side", "brightness"):
        assert again["reference"][key] == first["reference"][key]


def test_the_digests_are_of_the_training_planes_sorted_and_each_once(table):
    images = planes(table)
    images[1] = images[0]  # both of train
    pixels = decided(table, images=images)["training_pixels"]
    digests = [pixels_digest(plane)[:16] for plane in images]
    assert pixels == sorted({digests[row] for row in table.index[table["split"] == "train"]})
    assert len(pixels) == 89
    assert not {digests[row] for row in table.index[table["split"] != "train"]} & set(pixels)


def test_the_reference_describes_the_validation_images(table):
    images = planes(table)
    form = decided(table, images=images)
    reference, rows = form["reference"], table[table["split"] == "validation"]
    said = saved(table).of("validation")
    probabilities = parse_decisions(form).probabilities(said.logits)
    assert reference["images"] == form["validation_images"] == 30
    counts = [int((probabilities.argmax(axis=1) == number).sum()) for number in range(3)]
    assert reference["predictions"] == dict(zip(CLASSES, counts, strict=True))
    longest = rows[["width", "height"]].max(axis=1)
    grey = images[rows["index"]].mean(axis=(1, 2)) / 255
    for key, values in (("side", longest), ("brightness", grey), ("confidence", probabilities.max(axis=1))):
        assert len(reference[key]) == 101
        assert [reference[key][place] for place in (0, 50, 100)] == pytest.approx(
            [values.min(), np.median(values), values.max()], abs=1e-6
        )


def test_the_form_can_be_read_and_keeps_every_digit_of_a_threshold(table):
    form = decided(table)
    read = parse_decisions(form)
    assert (read.target, read.alpha, read.classes) == ("covid", 0.1, CLASSES)
    assert form["network"] == model().network_sha256
    validation = saved(table).of("validation")
    threshold = read.points["covid_sens95"].threshold
    assert threshold in read.probabilities(validation.logits)[:, 0]  # not rounded: one of the probabilities itself


def test_the_target_may_be_another_class(table):
    form = decided(table, params=EvaluateParams(target="normal"))
    assert list(form["operating_points"]) == ["normal_sens95", "normal_spec95"]
    assert form["default_operating_point"] == "normal_sens95"


def test_a_target_that_is_no_class_is_named_with_those_that_are(table):
    with pytest.raises(ParamsError, match=r"evaluate\.target is 'covid19'; expected one of covid, normal, viral"):
        decided(table, params=EvaluateParams(target="covid19"))


def test_without_a_validation_split_nothing_is_decided(table):
    rest = table[table["split"] != "validation"]
    with pytest.raises(DataError, match="no rows for validation"):
        decided(rest, images=planes(table))
