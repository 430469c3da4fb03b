"""Which images are learnt from and asked about when a hospital is left out, and what is written of them."""

import hashlib

import numpy as np
import pytest

from cxr.core.errors import ParamsError
from cxr.training.leave_hospital_out import leave_hospitals_out
from cxr.training.refit_plan import plan_hospitals
from tests.training.conftest import NO_CHANGE

CLASSES = ("bright", "dark")


@pytest.fixture
def hospitals(bright_and_dark):
    """Give the drawn pictures, of which every fifth is of `north`; balancing has left two of those aside."""
    whole, images = bright_and_dark
    whole = whole.assign(source=np.where(np.arange(80) % 5 == 0, "north", "release"), group=whole["index"])
    balanced = whole[~whole["index"].isin([0, 40])]
    return balanced, whole.drop(columns=["group", "split"]), images


def test_all_films_of_a_hospital_are_asked_about_and_none_is_learnt_from(hospitals) -> None:
    table, manifest, _ = hospitals
    (one,) = plan_hospitals(table, manifest, ["north"], CLASSES)
    assert sorted(one.asked["index"]) == list(range(0, 80, 5))
    assert not set(one.learned["index"]) & set(one.asked["index"])
    assert len(one.learned) == 64


def test_what_shows_the_same_film_or_patient_is_not_learnt_from_either(hospitals) -> None:
    table, manifest, _ = hospitals
    table = table.assign(
        duplicate_group=table["duplicate_group"].where(table["index"] != 7, 0),  # a copy of 0, which was not balanced
        patient=table["patient"].where(~table["index"].isin([5, 8]), "p1"),
        group=table["group"].where(~table["index"].isin([5, 8, 9]), 5),
    )
    manifest = manifest.assign(patient=manifest["patient"].where(~manifest["index"].isin([5, 8]), "p1"))
    (one,) = plan_hospitals(table, manifest, ["north"], CLASSES)
    assert not set(one.learned["index"]) & {7, 8, 9}


def test_films_of_another_class_are_not_asked_about(hospitals) -> None:
    table, manifest, _ = hospitals
    manifest = manifest.assign(label=manifest["label"].where(manifest["index"] != 5, "other"))
    (one,) = plan_hospitals(table, manifest, ["north"], CLASSES)
    assert 5 not in set(one.asked["index"])


def test_a_hospital_that_is_not_there_is_named_with_those_that_are(hospitals) -> None:
    table, manifest, _ = hospitals
    with pytest.raises(ParamsError, match=r"south.*north, release"):
        plan_hospitals(table, manifest, ["south"], CLASSES)


def test_a_hospital_without_which_nothing_is_left_is_refused(hospitals) -> None:
    table, manifest, _ = hospitals
    with pytest.raises(ParamsError, match=r"release.*image"):
        plan_hospitals(table[table["source"] == "release"], manifest, ["release"], CLASSES)


def test_without_hospitals_nothing_is_trained(hospitals, shared, recipe, tmp_path) -> None:
    *_, images = hospitals
    found = leave_hospitals_out([], "cnn1", images, shared, recipe, tmp_path)
    assert found.empty
    assert "logit_bright" in found.columns


@pytest.mark.slow
def test_the_network_is_asked_about_films_that_it_never_saw(hospitals, shared, recipe, tmp_path, monkeypatch) -> None:
    from cxr.training import train

    seen: list[str] = []
    fit = train.fit

    def spy(model, learned, validation, *rest, **more):
        seen.extend(hashlib.sha256(plane.tobytes()).hexdigest() for plane in (*learned.planes, *validation.planes))
        return fit(model, learned, validation, *rest, **more)

    monkeypatch.setattr(train, "fit", spy)
    table, manifest, images = hospitals
    plan = plan_hospitals(table, manifest, ["north"], CLASSES)
    still = recipe.model_copy(update={"augment": NO_CHANGE, "epochs": 6, "patience": 6})
    found = leave_hospitals_out(plan, "cnn1", images, shared, still, tmp_path)
    north = {hashlib.sha256(images[index].tobytes()).hexdigest() for index in range(0, 80, 5)}
    assert seen
    assert not north & set(seen)
    assert set(found["split"]) == {"held_out", "validation"}
    assert (found["split"] == "held_out").sum() == 16
    assert found["network"].eq("cnn1").all()
    held = found[found["split"] == "held_out"]
    said = np.where(held["logit_bright"] > held["logit_dark"], "bright", "dark")
    assert (said == held["actual"]).mean() > 0.8
