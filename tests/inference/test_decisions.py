import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr.core.errors import ModelError, UsageError
from cxr.core.files import read_json, sha256_of, write_json
from cxr.core.image import pixels_digest
from cxr.inference.decisions import (
    DECISIONS_FILE,
    ReferReason,
    alpha_that_suits,
    disagreeing,
    images_that_sets_need,
    parse_decisions,
    rank_of_limit,
    read_decisions,
    too_few_for_sets,
)
from cxr.inference.model_folder import at_operating_point, load_model
from cxr.inference.network import softmax
from tests.decision_forms import CLASSES, decisions_form, reference_form, with_decisions

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(0, 3, (200, 3)).astype(np.float32)
REFERENCE = reference_form(RANDOM.random(60), RANDOM.random(60), np.full(60, 299.0), (20, 25, 15))


def test_logits_are_divided_by_the_temperature_and_no_prediction_changes() -> None:
    found = parse_decisions(decisions_form(temperature=2.5)).probabilities(LOGITS)
    assert found.dtype == np.float64
    assert np.allclose(found, softmax(LOGITS.astype(np.float64) / 2.5), atol=0, rtol=1e-15)
    assert np.array_equal(found.argmax(axis=1), LOGITS.argmax(axis=1))


def test_one_picture_alone_has_the_probabilities_it_has_among_others() -> None:
    decisions = parse_decisions(decisions_form(temperature=1.7))
    together = decisions.probabilities(LOGITS)
    assert all(np.array_equal(decisions.probabilities(LOGITS[[n]])[0], together[n]) for n in range(len(LOGITS)))


@pytest.mark.parametrize(
    ("probabilities", "classes", "word", "reason"),
    [
        ((0.75, 0.15, 0.10), ("covid",), "covid_suspected", None),
        ((0.10, 0.80, 0.10), ("normal",), "not_suspected", None),
        ((0.10, 0.10, 0.80), ("viral_pneumonia",), "not_suspected", None),
        ((0.30, 0.10, 0.60), ("covid", "viral_pneumonia"), "refer", ReferReason.SEVERAL_CLASSES),
        ((0.40, 0.31, 0.29), ("covid",), "covid_suspected", None),  # the threshold itself
        ((0.399, 0.311, 0.29), ("covid",), "refer", ReferReason.CONTRADICTION),  # covid, and below the threshold
        ((0.45, 0.32, 0.23), ("covid", "normal"), "refer", ReferReason.SEVERAL_CLASSES),
    ],
)
def test_decisions_follow_set_and_threshold(
    probabilities: tuple[float, ...], classes: tuple[str, ...], word: str, reason: ReferReason | None
) -> None:
    (decision,) = parse_decisions(decisions_form()).decide(np.array([probabilities]), "covid_sens95")
    assert (decision.classes, decision.word, decision.reason) == (classes, word, reason)


def test_a_picture_like_no_class_is_referred() -> None:
    conformal = {"alpha": 0.05, "minimum": dict.fromkeys(CLASSES, 0.9)}
    (decision,) = parse_decisions(decisions_form(conformal=conformal)).decide(
        np.array([[0.5, 0.3, 0.2]]), "covid_spec95"
    )
    assert (decision.classes, decision.word, decision.reason) == ((), "refer", ReferReason.EMPTY_SET)


def test_a_suspicion_against_the_most_probable_class_is_referred() -> None:
    minimum = {"covid": 0.1, "normal": 0.7, "viral_pneumonia": 0.5}
    points = {"covid_sens95": {"threshold": 0.2, "aim": "x"}}
    decisions = parse_decisions(decisions_form(operating_points=points, conformal={"alpha": 0.05, "minimum": minimum}))
    (decision,) = decisions.decide(np.array([[0.3, 0.6, 0.1]]), "covid_sens95")
    assert (decision.classes, decision.word, decision.reason) == (("covid",), "refer", ReferReason.CONTRADICTION)


SURE, SEVERAL, NONE = (0.75, 0.15, 0.10), (0.45, 0.32, 0.23), (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("probabilities", "flags", "apart", "reason"),
    [
        (SURE, "", False, None),
        (SURE, "small elongated flat synthetic overexposed underexposed cropped", False, None),
        (SURE, "out_of_distribution", False, ReferReason.OUT_OF_DISTRIBUTION),
        (SURE, "lateral", False, ReferReason.LATERAL),
        (SURE, "rotated_90", False, ReferReason.ROTATED_90),
        (SURE, "small rotated_180", False, ReferReason.ROTATED_180),
        (SURE, "inverted", True, ReferReason.INVERTED),
        (SURE, "inverted lateral", False, ReferReason.LATERAL),
        (SURE, "", True, ReferReason.DISAGREEMENT),
        (SURE, "lateral out_of_distribution", True, ReferReason.OUT_OF_DISTRIBUTION),
        (SEVERAL, "", True, ReferReason.SEVERAL_CLASSES),
        (SEVERAL, "out_of_distribution", False, ReferReason.OUT_OF_DISTRIBUTION),
        (NONE, "", True, ReferReason.EMPTY_SET),
        (NONE, "rotated_90", True, ReferReason.ROTATED_90),
    ],
)
def test_the_first_reason_that_holds_is_said_and_the_set_stays(
    probabilities: tuple[float, ...], flags: str, apart: bool, reason: ReferReason | None
) -> None:
    decisions, values = parse_decisions(decisions_form()), np.array([SURE, probabilities])
    marks = [(), flags.split()]
    first, second = decisions.decide(values, "covid_sens95", flags=marks, disagreeing=np.array([False, apart]))
    assert (first.word, first.reason) == ("covid_suspected", None)
    assert second.reason == reason
    assert second.word == ("refer" if reason else "covid_suspected")
    assert second.classes == decisions.decide(values, "covid_sens95")[1].classes


def test_as_many_marks_as_pictures_are_asked_for() -> None:
    with pytest.raises(ValueError, match="zip"):
        parse_decisions(decisions_form()).decide(np.array([SURE, SURE]), "covid_sens95", flags=[()])


def test_members_disagree_where_their_largest_logits_are_of_different_classes() -> None:
    agree, apart, equal = [[3, 1, 0], [9, 2, 0]], [[3, 1, 0], [0, 2, 1]], [[1, 1, 0], [1, 1, 0]]
    assert disagreeing(np.array([agree, apart, equal], np.float32)).tolist() == [False, True, False]
    third = np.array([[[1, 0], [1, 0], [0, 1]], [[0, 1], [0, 1], [0, 1]]], np.float32)
    assert disagreeing(third).tolist() == [True, False]


def test_operating_points_decide_differently() -> None:
    decisions = parse_decisions(decisions_form())
    one = np.array([[0.6, 0.2, 0.2]])
    assert [decisions.suspected(one, point).tolist() for point in ("covid_sens95", "covid_spec95")] == [[True], [False]]


def test_a_minimum_is_taken_for_its_class_by_name_not_by_position() -> None:
    minimum = {"viral_pneumonia": 0.3, "covid": 0.1, "normal": 0.2}
    decisions = parse_decisions(decisions_form(conformal={"alpha": 0.05, "minimum": minimum}))
    assert decisions.minimum.tolist() == [0.1, 0.2, 0.3]


def test_thresholds_come_back_to_the_last_bit(tmp_path: Path) -> None:
    threshold = float(np.nextafter(0.1, 1))
    points = {"covid_sens95": {"threshold": threshold, "aim": "x"}}
    write_json(tmp_path / DECISIONS_FILE, decisions_form(operating_points=points))
    assert read_decisions(tmp_path / DECISIONS_FILE).points["covid_sens95"].threshold == threshold


def test_a_reference_is_read_whole() -> None:
    reference = parse_decisions(decisions_form(reference=REFERENCE)).reference
    assert reference is not None
    assert (reference.images, reference.predictions["normal"], len(reference.brightness)) == (60, 25, 101)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"decisions": 2}, "version 1"),
        ({"network": "abc"}, "network is 'abc'"),
        ({"classes": ["covid", "covid", "normal"]}, "expected each text once"),
        ({"classes": ["covid", "a class"]}, "classes is"),
        ({"temperature": 0}, "temperature is 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": True}, "temperature is True"),
        ({"target": "lupus"}, "expected one of covid, normal, viral_pneumonia"),
        ({"default_operating_point": "best"}, "expected one of covid_sens95, covid_spec95"),
        ({"operating_points": {"x": {"aim": "x"}}}, "operating_points: x lacks threshold"),
        ({"operating_points": []}, "operating_points is []"),
        ({"conformal": {"alpha": 0.05, "minimum": {"covid": 0.1}}}, "expected the members covid, normal"),
        ({"conformal": {"alpha": 0.05, "minimum": dict.fromkeys(CLASSES, 1.5)}}, "covid is 1.5"),
        ({"conformal": {"alpha": 2, "minimum": dict.fromkeys(CLASSES, 0.5)}}, "alpha is 2"),
        ({"training_pixels": ["abc"]}, "training_pixels is ['abc']"),
        ({"reference": REFERENCE | {"side": [1.0]}}, "expected 101 numbers"),
        ({"reference": REFERENCE | {"brightness": REFERENCE["brightness"][::-1]}}, "ascending"),
        ({"reference": REFERENCE | {"predictions": dict.fromkeys(CLASSES, 1)}}, "the sum 60"),
        ({"reference": REFERENCE | {"images": 0}}, "images is 0"),
    ],
)
def test_a_wrong_member_is_named_with_what_was_expected(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse_decisions(decisions_form(**changes))
    assert words in str(caught.value)
    assert DECISIONS_FILE in str(caught.value)


@pytest.mark.parametrize("name", sorted(decisions_form().keys() - {"data", "validation_images", "reference"}))
def test_an_absent_member_is_named(name: str) -> None:
    form = decisions_form()
    del form[name]
    with pytest.raises(ModelError, match="version 1" if name == "decisions" else name):
        parse_decisions(form)


@pytest.mark.parametrize("content", ["", "[]", '"x"', "{"])
def test_a_file_that_is_no_object_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / DECISIONS_FILE).write_text(content)
    with pytest.raises(ModelError, match=r"cannot be read|version 1"):
        read_decisions(tmp_path / DECISIONS_FILE)


def test_a_model_folder_gives_its_decisions_at_their_own_operating_point(tmp_path: Path) -> None:
    model = load_model(with_decisions(tmp_path / "model"))
    assert model.decisions is not None
    assert (model.operating_point, model.decisions.network) == ("covid_sens95", model.network_sha256)
    assert at_operating_point(model, "covid_spec95").operating_point == "covid_spec95"
    with pytest.raises(UsageError, match="'best'; expected covid_sens95 or covid_spec95"):
        at_operating_point(model, "best")


def test_decisions_with_another_hash_are_refused(tmp_path: Path) -> None:
    folder = with_decisions(tmp_path / "model")
    path = folder / DECISIONS_FILE
    path.write_text(path.read_text().replace("0.4", "0.5"))
    with pytest.raises(ModelError, match=r"decisions\.json has SHA-256 .* names"):
        load_model(folder)


def test_decisions_for_another_network_are_refused_even_where_the_hash_is_named(tmp_path: Path) -> None:
    folder = with_decisions(tmp_path / "model", network="ff" * 32)
    with pytest.raises(ModelError, match="was fitted for the network ffffffffffff"):
        load_model(folder)


def test_decisions_for_classes_in_another_order_are_refused(tmp_path: Path) -> None:
    folder = with_decisions(tmp_path / "model", classes=list(CLASSES[::-1]))
    with pytest.raises(ModelError, match="with the classes viral_pneumonia, normal, covid"):
        load_model(folder)


def test_decisions_that_are_named_and_absent_or_there_and_not_named_are_refused(tmp_path: Path) -> None:
    folder = with_decisions(tmp_path / "model")
    text = (folder / DECISIONS_FILE).read_text()
    (folder / DECISIONS_FILE).unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(folder)
    (folder / DECISIONS_FILE).write_text(text)
    description = read_json(folder / "model.json")
    del description["decisions"]
    write_json(folder / "model.json", description)
    with pytest.raises(ModelError, match="does not name it"):
        load_model(folder)


def test_a_model_without_decisions_has_no_operating_point(tmp_path: Path) -> None:
    folder = with_decisions(tmp_path / "model")
    (folder / DECISIONS_FILE).unlink()
    description = json.loads((folder / "model.json").read_text())
    del description["decisions"]
    write_json(folder / "model.json", description)
    model = load_model(folder)
    assert (model.decisions, model.operating_point) == (None, "")
    with pytest.raises(UsageError, match="no decisions"):
        at_operating_point(model, "covid_sens95")


def test_the_hash_that_is_named_is_that_of_the_file(tmp_path: Path) -> None:
    folder = with_decisions(tmp_path / "model")
    assert read_json(folder / "model.json")["decisions"]["sha256"] == sha256_of(folder / DECISIONS_FILE)


def test_the_digest_of_pixels_depends_on_pixels_and_shape_alone() -> None:
    plane = np.arange(12, dtype=np.uint8).reshape(3, 4)
    other = np.asfortranarray(plane)
    assert pixels_digest(other) == pixels_digest(plane)
    assert pixels_digest(plane.reshape(4, 3)) != pixels_digest(plane)
    assert pixels_digest(plane[::-1]) != pixels_digest(plane)
    # Tables that were prepared earlier hold this one.
    assert pixels_digest(plane).startswith("208ad48e12fd6fd6")


@pytest.mark.parametrize("alpha", [0.005, 0.02, 0.05, 0.07, 0.1, 0.29, 0.49])
def test_from_the_number_that_sets_need_on_a_class_can_be_left_out(alpha: float) -> None:
    need = images_that_sets_need(alpha)
    assert (rank_of_limit(alpha, need - 1), rank_of_limit(alpha, need)) == (0, 1)


@pytest.mark.parametrize("images", [1, 9, 10, 28, 49, 100, 588])
def test_the_alpha_that_suits_is_enough_and_the_next_smaller_is_not(images: int) -> None:
    alpha = alpha_that_suits(images)
    assert images_that_sets_need(alpha) <= images < images_that_sets_need(alpha - 0.001)


def test_classes_that_no_set_leaves_out_are_named_with_what_it_takes() -> None:
    minimum = {"covid": 0.0, "normal": 0.3, "viral_pneumonia": 0.0}
    record = parse_decisions(decisions_form(conformal={"alpha": 0.02, "minimum": minimum})).record("covid_sens95", "0")
    assert "covid and viral_pneumonia, so every image is referred" in record.too_few_images
    assert "49 validation images" in record.too_few_images
    assert parse_decisions(decisions_form()).record("covid_sens95", "0").too_few_images == ""


def test_one_class_that_is_always_held_leaves_itself_to_be_answered() -> None:
    sentence = too_few_for_sets(0.02, ["normal"])
    assert "holds normal, so every image that may be of another class is referred" in sentence


def test_an_alpha_that_evaluate_refuses_is_not_advised() -> None:
    assert "suffice" not in too_few_for_sets(0.02, ["a", "b"], {"a": 1, "b": 30})
    assert "suffice from evaluate.alpha 0.334 on" in too_few_for_sets(0.02, ["a", "b"], {"a": 2, "b": 30})
