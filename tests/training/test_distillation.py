"""Teachers differ by their seed alone; a student learns what they say of views, and looks at no label."""

import numpy as np
import pytest
from pydantic import ValidationError

from cxr.core.errors import ModelError, ParamsError
from cxr.core.image import Plane
from cxr.inference.ensemble import member_folders
from cxr.inference.network import Network, softmax
from cxr.models import AugmentParams
from cxr.training.params import StudentParams, TeachersParams
from tests.training.conftest import NO_CHANGE, SIDE

pytestmark = pytest.mark.slow

SMALL = {"side": SIDE, "epochs": 3, "batch_size": 8, "views": 2, "learning_rate": 0.003, "augment": NO_CHANGE}


@pytest.fixture
def distillation():
    from cxr.training import distillation

    return distillation


@pytest.fixture(scope="module")
def settings(pinned_tensorflow):
    from cxr.core.params import CommonParams
    from cxr.models import FineTunedParams
    from tests.training.conftest import RECIPE

    shared = CommonParams(seed=3, classes=("bright", "dark"), runtime=pinned_tensorflow)
    return shared, FineTunedParams(**RECIPE | {"epochs": 3, "patience": 3}, weights="random")


@pytest.fixture(scope="module")
def teachers(films_once, settings, tmp_path_factory):
    """Give the folders of two teachers, of the seeds 5 and 11."""
    from cxr.core.image import PlaneRule
    from cxr.training.distillation import train_teachers
    from cxr.training.train import write_trained

    folder, (shared, recipe) = tmp_path_factory.mktemp("teachers"), settings
    for trained in train_teachers(*films_once, shared, TeachersParams(seeds=(11, 5)), recipe, folder):
        write_trained(folder / trained.description["name"], trained, PlaneRule("drawn", "0" * 64))
    return member_folders([folder])


def student_of(teachers, films_once, settings, **changes):
    from cxr.training.distillation import train_student

    shared, recipe = settings
    return train_student(teachers, *films_once, shared, StudentParams(**SMALL | changes), recipe)


@pytest.fixture(scope="module")
def student(teachers, films_once, settings):
    return student_of(teachers, films_once, settings)


def test_each_teacher_is_what_a_training_by_its_seed_gives(teachers, films_once, settings):
    from cxr.training.train import train_network

    shared, recipe = settings
    alone = train_network("lite0", *films_once, shared.model_copy(update={"seed": 5}), recipe, teachers[0])
    planes = films_once[1][:8]
    expected = alone.model(planes[..., None], training=False)["logits"].numpy()
    first, second = (Network(folder / "network.xml").predict(planes).logits for folder in teachers)
    assert [folder.name for folder in teachers] == ["teacher_5", "teacher_11"]
    assert first == pytest.approx(expected, abs=1e-4)
    assert np.abs(second - expected).max() > 0.01


def test_a_student_answers_films_as_its_teachers_do_on_average(student, teachers, films_once):
    planes = films_once[1]
    mean = np.mean([Network(folder / "network.xml").predict(planes).logits for folder in teachers], axis=0)
    own = student.model(planes[..., None], training=False)["logits"].numpy()
    assert (own.argmax(axis=1) == mean.argmax(axis=1)).mean() >= 0.9
    losses = [epoch["loss"] for epoch in student.history]
    assert losses[-1] < losses[0]


def test_a_student_tells_its_teachers(student):
    assert [one["seed"] for one in student.description["teachers"]] == [5, 11]
    assert len({one["network_sha256"] for one in student.description["teachers"]}) == 2
    assert (student.description["name"], student.description["architecture"]) == ("student", "lite0")
    assert set(student.model.output) == {"logits", "features", "feature_map"}


def test_no_label_is_looked_at(student, teachers, films_once, settings):
    table, planes = films_once
    turned = table.assign(label=table["label"].map({"bright": "dark", "dark": "bright"}))
    assert student_of(teachers, (turned, planes), settings).history == student.history


@pytest.mark.parametrize("seeds", [(7, 7), (7,), (), (7, -1)])
def test_teachers_have_different_seeds(seeds):
    with pytest.raises(ValidationError):
        TeachersParams(seeds=seeds)


def test_a_student_larger_than_the_planes_is_refused(teachers, films_once, settings):
    with pytest.raises(ParamsError, match=r"train_student\.side is 64, but the planes have 32 pixels"):
        student_of(teachers, films_once, settings, side=64)


def test_teachers_of_other_planes_are_refused(teachers, films_once, settings):
    enlarged = np.repeat(np.repeat(films_once[1], 2, axis=1), 2, axis=2)
    with pytest.raises(ModelError, match="teacher_5 takes planes of 32 pixels, but these have 64"):
        student_of(teachers, (films_once[0], enlarged), settings)


def films() -> Plane:
    return np.random.default_rng(1).integers(0, 256, (100, SIDE, SIDE)).astype(np.uint8)


def as_rows(planes):
    return sorted(map(bytes, planes.reshape(len(planes), -1)))


def test_the_first_view_of_every_film_is_the_film_and_the_others_are_drawn_by_the_seed(distillation):
    params = StudentParams(views=3, augment=AugmentParams())
    drawn = distillation.views(films(), params, seed=4)
    assert drawn.shape == (300, SIDE, SIDE)
    assert (drawn[:100] == films()).all()
    assert not set(as_rows(drawn[100:])) & set(as_rows(films()))
    assert (distillation.views(films(), params, seed=4) == drawn).all()
    assert (distillation.views(films(), params, seed=5) != drawn).any()


def test_views_that_nothing_varies_are_the_drawn_each(distillation):
    drawn = distillation.views(films(), StudentParams(views=3, mixed=0, augment=NO_CHANGE), seed=4)
    assert as_rows(drawn[100:200]) == as_rows(drawn[200:]) == as_rows(films())


def test_a_mixed_view_lies_between_two_films(distillation):
    bright_and_dark = np.where(np.arange(64)[:, None, None] < 32, 200, 40).astype(np.uint8) * np.ones(
        (1, SIDE, SIDE), np.uint8
    )
    drawn = distillation.views(bright_and_dark, StudentParams(views=2, mixed=1, augment=NO_CHANGE), seed=4)[64:]
    greys = drawn[:, 0, 0]
    assert (drawn == greys[:, None, None]).all()
    assert 40 <= greys.min() <= greys.max() <= 200
    assert ((greys > 40) & (greys < 200)).sum() > 16


def test_answers_are_the_mean_of_the_logits_and_the_pooled_maps_side_by_side(distillation, teachers, films_once):
    networks = [Network(folder / "network.xml") for folder in teachers]
    said = distillation.answers(networks, films_once[1][:70])  # more than a batch
    each = [network.predict(films_once[1][:70]) for network in networks]
    assert said.logits == pytest.approx((each[0].logits + each[1].logits) / 2, abs=1e-5)
    width = each[0].features.shape[1]
    assert said.features[:, :width] == pytest.approx(each[0].features, abs=1e-5)
    squares = np.square(each[1].feature_map).mean(axis=(1, 2))
    assert said.features[:, 3 * width :] == pytest.approx(squares, rel=1e-4, abs=1e-5)
    targets = said.targets(distillation.Scale.of(said.features), temperature=2.0)
    assert targets[:, :2] == pytest.approx(softmax(said.logits / 2), abs=1e-5)
    assert targets[:, 2:].mean(axis=0) == pytest.approx(0, abs=1e-3)


def test_folders_of_members_are_given_in_the_order_of_their_numbers_and_none_is_an_error(tmp_path):
    for name in ("teacher_10", "teacher_9", "notes"):
        (tmp_path / "all" / name).mkdir(parents=True)
    for name in ("teacher_10", "teacher_9"):
        (tmp_path / "all" / name / "model.json").write_text("{}")
    named = [folder.name for folder in member_folders([tmp_path / "all", tmp_path / "all/teacher_10"])]
    assert named == ["teacher_9", "teacher_10", "teacher_10"]
    with pytest.raises(ModelError, match="holds no trained network"):
        member_folders([tmp_path / "all/notes"])
