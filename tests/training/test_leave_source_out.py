"""Refits without a source: what fit receives, and what the answers are."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from cxr.core.errors import ParamsError
from cxr.inference.network import softmax
from cxr.training.loop import Examples
from cxr.training.refit_plan import plan_refits
from tests.training.conftest import SIDE

pytestmark = pytest.mark.slow

CLASSES = ("bright", "dark")


@pytest.fixture
def sourced(bright_and_dark):
    """Give the drawn pictures with sources: bright ones of three, dark ones of one."""
    table, images = bright_and_dark
    sources = np.array(["ward a", "ward b", "ward c"])[np.arange(80) % 3]
    sources[table["label"] == "dark"] = "elsewhere"
    return table.assign(source=sources, group=table["index"]), images


def answers(data, shared, recipe, *only):
    from cxr.training.leave_source_out import leave_source_out

    table, images = data
    plan = plan_refits(table, "bright", CLASSES)
    if only:
        plan = replace(plan, refits=tuple(refit for refit in plan.refits if refit.held_out in only))
    return leave_source_out(plan, images, shared, recipe)


@pytest.fixture
def received(monkeypatch):
    """Give the list of what fit is called with, and call it no more."""
    from cxr.training import leave_source_out

    calls: list[tuple[Examples, Examples, str]] = []

    def spy(*arguments):
        _, train, validation, *_, name = arguments
        calls.append((train, validation, name))

    monkeypatch.setattr(leave_source_out, "fit", spy)
    return calls


def pictures(planes):
    return {hashlib.sha256(plane.tobytes()).hexdigest() for plane in planes}


def test_no_image_of_a_held_out_source_reaches_the_fit_loop(sourced, shared, recipe, received):
    table, images = sourced
    answers(sourced, shared, recipe)
    assert [phase.network for _, _, phase in received] == [f"held out {number} of 4" for number in (1, 2, 3, 4)]
    for source, (train, validation, _) in zip(["ward a", "ward b", "ward c"], received[1:], strict=True):
        seen = pictures(train.planes) | pictures(validation.planes)
        assert not seen & pictures(images[table.index[table["source"] == source]])
        kept = table[(table["source"] != source) & (table["split"] != "test")]
        assert seen == pictures(images[kept["index"]])


def test_every_source_is_answered_once_and_whole_in_order(sourced, shared, recipe, received):
    table, _ = sourced
    found = answers(sourced, shared, recipe)
    assert found.columns.tolist() == ["held_out", "file", "actual", "probability_bright", "probability_dark"]
    assert found[["held_out", "file"]].equals(found[["held_out", "file"]].sort_values(["held_out", "file"]))
    for source in ("ward a", "ward b", "ward c"):
        assert sorted(found.loc[found["held_out"] == source, "file"]) == sorted(
            table.loc[table["source"] == source, "file"]
        )
    tested = table[(table["label"] == "bright") & (table["split"] == "test")]
    assert sorted(found.loc[found["held_out"] == "", "file"]) == sorted(tested["file"])
    assert set(found["actual"]) == {"bright"}
    assert len(received) == 4


@pytest.mark.long
def test_a_refit_does_not_depend_on_those_before_it(sourced, shared, recipe):
    once = recipe.model_copy(update={"epochs": 1})
    together, alone = answers(sourced, shared, once, "ward a", "ward c"), answers(sourced, shared, once, "ward c")
    assert alone.to_csv() == together[together["held_out"] == "ward c"].reset_index(drop=True).to_csv()


@pytest.mark.long
def test_with_nothing_held_out_it_is_the_network_that_the_train_stage_makes(sourced, shared, recipe, tmp_path):
    from cxr.training.train import train_network

    table, images = sourced
    found = answers(sourced, shared, recipe, "")
    model = train_network("cnn1", table, images, shared, recipe, tmp_path).model
    asked = table.set_index("file").loc[found["file"], "index"].to_numpy()
    expected = softmax(model(images[asked][..., np.newaxis], training=False)["logits"].numpy())
    assert found[["probability_bright", "probability_dark"]].to_numpy() == pytest.approx(expected, abs=1e-5)


def test_the_only_source_gives_an_empty_table_and_a_sentence(sourced, shared, recipe, capfd):
    table, images = sourced
    one = table.replace(["ward b", "ward c"], "ward a")
    found = answers((one, images), shared, recipe)
    assert found.empty
    assert found.columns.tolist() == ["held_out", "file", "actual", "probability_bright", "probability_dark"]
    said = capfd.readouterr().err
    assert "ward a cannot be held out: without it, train or validation lacks a class" in said
    assert "nothing to hold out: bright has no source that the others could stand in for" in said


def test_every_refit_is_announced_with_its_source_and_shows_its_epochs(sourced, shared, recipe, capfd):
    answers(sourced, shared, recipe.model_copy(update={"epochs": 1}), "ward b")
    said = capfd.readouterr().err
    assert "held out 1 of 1: ward b; 13 images will be asked about" in said
    assert "held out 1 of 1 epoch 1/1 " in said


def test_a_network_larger_than_the_plane_is_refused(sourced, shared, recipe):
    with pytest.raises(ParamsError, match=f"train_cnn1.side is 48, but the planes have {SIDE} pixels"):
        answers(sourced, shared, recipe.model_copy(update={"side": 48}))
