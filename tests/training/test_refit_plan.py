"""What a refit learns from and is asked about: decided on tables, without a network."""

import pytest

from cxr.core.errors import ParamsError
from cxr.training.refit_plan import LeaveSourceOutParams, plan_refits
from tests.tables import manifest

CLASSES = ("covid", "normal")


@pytest.fixture(scope="session", autouse=True)
def _pinned():
    """Keep TensorFlow out: nothing here runs it."""


def split_table():
    """Give 30 + 30 rows, every fifth for validation and for test: covid of two sources, normal of a third."""
    table = manifest({"covid": 30, "normal": 30})
    table["source"] = ["clinic a"] * 20 + ["clinic b"] * 10 + ["clinic c"] * 30
    return table.assign(group=table["index"], split=["train", "train", "train", "validation", "test"] * 12)


def planned(table):
    return {refit.held_out: refit for refit in plan_refits(table, "covid", CLASSES).refits}


def test_each_source_of_the_target_is_held_out_once_after_the_refit_without_any():
    plan = plan_refits(split_table(), "covid", CLASSES)
    assert [refit.held_out for refit in plan.refits] == ["", "clinic a", "clinic b"]
    assert plan.impossible == ()


def test_a_held_out_source_is_answered_whole_and_never_learned():
    refit = planned(split_table())["clinic a"]
    assert refit.answered["index"].tolist() == list(range(20))
    assert refit.learned["index"].tolist() == list(range(20, 60))


def test_with_nothing_held_out_all_is_learned_and_the_test_images_of_the_target_are_answered():
    refit = planned(split_table())[""]
    assert len(refit.learned) == 60
    assert refit.answered["index"].tolist() == [4, 9, 14, 19, 24, 29]


def test_a_copy_of_a_held_out_image_in_another_source_is_neither_learned_nor_answered():
    table = split_table()
    table.loc[25, "group"] = 3  # clinic b has the picture that row 3 of clinic a shows
    refits = planned(table)
    assert 25 not in refits["clinic a"].learned["index"].tolist() + refits["clinic a"].answered["index"].tolist()
    assert 3 not in refits["clinic b"].learned["index"].tolist()
    assert 25 in refits["clinic b"].answered["index"].tolist()


def test_images_of_another_class_from_a_held_out_source_are_not_learned_either():
    table = split_table()
    table.loc[30:39, "source"] = "clinic a"
    refit = planned(table)["clinic a"]
    assert set(refit.learned["source"]) == {"clinic b", "clinic c"}
    assert refit.answered["label"].value_counts().to_dict() == {"covid": 20, "normal": 10}


def test_images_of_unknown_source_are_always_learned_and_never_held_out():
    table = split_table()
    table.loc[:9, "source"] = ""
    refits = planned(table)
    assert list(refits) == ["", "clinic a", "clinic b"]
    assert set(range(10)) <= set(refits["clinic a"].learned["index"])


def test_the_only_source_of_a_class_cannot_be_held_out():
    plan = plan_refits(split_table().replace("clinic b", "clinic a"), "covid", CLASSES)
    assert (plan.refits, plan.impossible) == ((), ("clinic a",))


def test_a_source_without_which_validation_lacks_the_class_cannot_be_held_out_and_the_others_are():
    table = split_table()
    table.loc[(table["source"] == "clinic b") & (table["split"] == "validation"), "split"] = "train"
    plan = plan_refits(table, "covid", CLASSES)
    assert [refit.held_out for refit in plan.refits] == ["", "clinic b"]
    assert plan.impossible == ("clinic a",)


def test_a_target_without_images_has_nothing_to_hold_out():
    plan = plan_refits(split_table(), "lung_opacity", (*CLASSES, "lung_opacity"))
    assert (plan.refits, plan.impossible) == ((), ())


def test_a_target_that_is_no_class_is_refused():
    with pytest.raises(ParamsError, match=r"leave_source_out.target is 'covid19', which is not among classes: covid, "):
        plan_refits(split_table(), "covid19", CLASSES)


def test_only_the_number_of_epochs_of_the_recipe_is_replaced(recipe):
    short = LeaveSourceOutParams(target="covid", epochs=1).shortened(recipe)
    assert (short.epochs, recipe.epochs) == (1, 2)
    assert short.model_copy(update={"epochs": 2}) == recipe
