"""What a report says of its own data follows from them: other classes, other collections, none known."""

from dataclasses import replace

import pytest

from cxr.dataset.audits.sources import UNKNOWN, SourceCount
from cxr.evaluation.audits.perturbations import ROBUSTNESS, Perturbed
from cxr.evaluation.records import ReportData
from cxr.evaluation.report import ALWAYS, limitations
from cxr.evaluation.stats.intervals import wilson
from cxr.evaluation.unseen import UnseenFilms, UnseenHospitals

KERMANY = "https://www.kaggle.com/paultimothymooney/chest-xray-pneumonia"


def data(patients_known=300, **sources: dict[str, int]) -> ReportData:
    """Return a split of 100 images a class, whose patients are all known if nothing else is said."""
    counts = [SourceCount(label, source, n) for label, own in sources.items() for source, n in own.items()]
    each = dict.fromkeys(sources, 100)
    splits = dict.fromkeys(("train", "validation", "test"), each)
    images = 300 * len(sources)
    return ReportData(images, 0, "", each, splits, tuple(counts), {}, {}, min(patients_known * len(sources), images))


def said(**sources: dict[str, int]) -> tuple[str, ...]:
    """Return what is said of collections and ages; the last sentence before those that always hold is of the target."""
    sentences = limitations(data(**sources), next(iter(sources)), 0.02)
    assert sentences[-len(ALWAYS) :] == ALWAYS
    return sentences[: -len(ALWAYS) - 1]


def unseen_hospitals(recognised: float) -> UnseenHospitals:
    """Return figures of 40 films of well people, a quarter of whom are called sick."""
    quarter, none = wilson(10, 40), wilson(0, 40)
    films = UnseenFilms("", "well", 40, quarter, none, none, none, none, none, wilson(round(40 * recognised), 40))
    return UnseenHospitals("last_layer", "sick", (replace(films, hospital="north"),), (films,), quarter)


def test_patients_are_said_to_be_unknown_only_where_they_are():
    clinic = {"sick": {"a": 1}, "well": {"a": 1}}
    whole, some, none = (limitations(data(known, **clinic), "sick", 0.02) for known in (300, 50, 0))
    assert not [one for one in whole if "patient" in one]
    assert [one for one in some if "known of 100 of 600 images. Of the others: different pictures of one" in one]
    assert [one for one in none if "known of no image. Different pictures of one patient may stand in" in one]


def test_the_share_of_the_target_is_that_of_the_test_split():
    of = data(sick={"a": 1}, well={"a": 1})
    uneven = replace(of, classes_by_split=of.classes_by_split | {"test": {"sick": 10, "well": 90}})
    assert [one for one in limitations(uneven, "sick", 0.02) if one.startswith("Of the test images 10.0 % are sick")]


def test_other_hospitals_are_not_said_to_be_untested_where_they_were_asked_about():
    of = data(sick={"a": 1}, well={"a": 1})
    inside, outside = (limitations(of, "sick", 0.02, unseen=unseen) for unseen in (None, unseen_hospitals(0.9)))
    assert any("Hospitals, detectors and years that are not in the data were not tested" in one for one in inside)
    assert not any("Hospitals, detectors and years" in one for one in outside)
    assert any("'Hospitals left out of training'" in one for one in outside)
    assert len(inside) == len(outside)


@pytest.mark.parametrize(("share", "told"), [(0.0, True), (0.3, True), (0.5, False), (0.9, False)])
def test_a_class_that_other_hospitals_films_are_not_recognised_as_is_named(share, told):
    sentences = limitations(data(sick={"a": 1}, well={"a": 1}), "sick", 0.02, unseen=unseen_hospitals(share))
    named = [one for one in sentences if one.startswith("At hospitals left out of training well is not recognised: ")]
    assert bool(named) is told
    if told:
        assert named[0].endswith("of 40 films are called well, and 25.0 % sick.")


def test_limitations_that_params_state_come_first():
    of = data(sick={"a": 1}, well={"a": 1})
    assert limitations(of, "sick", 0.02, stated=["One reader."]) == ("One reader.", *limitations(of, "sick", 0.02))


@pytest.mark.parametrize(("change", "told"), [(-0.268, 1), (-0.01, 0)])
def test_a_change_of_the_picture_that_costs_much_is_named(change, told):
    audit = ROBUSTNESS.judge((Perturbed("noise", "Gaussian noise, 8 grey levels", 0.7, change, 0.3),), "cnn1")
    sentences = limitations(data(sick={"a": 1}, well={"a": 1}), "sick", 0.02, audits=[audit])
    named = [one for one in sentences if one.startswith("Small changes of the picture change answers. The worst of 1 ")]
    assert len(named) == told
    assert all("falls by 26.8 points" in one for one in named)


def test_a_collection_that_is_not_known_is_none():
    (unknown,) = said(sick={UNKNOWN: 4}, well={UNKNOWN: 4})
    assert unknown.startswith("Where the images of sick and well come from is not known")


def test_the_public_database_has_ages_and_collections_that_give_a_class_away():
    ages, apart = said(
        covid={"https://bimcv.cipf.es/bimcv-projects": 10, "https://sirm.org": 2},
        normal={KERMANY: 3, "https://www.kaggle.com/c/rsna-pneumonia-detection-challenge": 9},
        viral_pneumonia={KERMANY: 12},
    )
    assert ages.startswith(
        "All images of viral_pneumonia come from a collection of children aged one to five (Kermany 2018)"
    )
    assert "images of covid and normal from others too" in ages
    assert apart == (
        "In training, validation and test no known collection has images of both covid and normal, nor of both covid "
        "and viral_pneumonia: recognising the collection is enough to tell them apart."
    )


@pytest.mark.parametrize(
    "names", [("pcr_minus", "pcr_plus"), ("a", "b", "c", "d", "e"), ("lungenentzündung", "gesund")]
)
def test_collections_that_have_all_classes_leave_nothing_to_say(names):
    assert said(**{name: {"clinic": 5, "ward": 1} for name in names}) == ()


def test_classes_of_one_collection_of_children_cannot_be_told_by_age():
    assert said(bacterial={KERMANY: 5}, normal={KERMANY: 7}) == ()


def test_what_is_not_known_is_said():
    (unknown,) = said(sick={}, well={})
    assert unknown.startswith("Where the images of sick and well come from is not known")
    (partly,) = said(sick={"clinic": 4}, well={})
    assert partly.startswith("Where the images of well come from is not known")


def test_only_the_pairs_that_share_no_collection_are_named():
    (apart,) = said(a={"x": 1, "y": 1}, b={"y": 1, "z": 1}, c={"z": 1})
    assert apart == (
        "In training, validation and test no known collection has images of both a and c: recognising the "
        "collection is enough to tell them apart."
    )
