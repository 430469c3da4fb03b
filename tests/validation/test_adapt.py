"""Adapting to a site: how many alarms are left on films of that site, what it costs, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxr.core.errors import DataError, ModelError, OutputError
from cxr.core.files import read_json, sha256_of
from cxr.inference.decisions import DECISIONS_FILE
from cxr.inference.model_folder import load_model, load_model_lungs, packaged_folder
from cxr.inference.network import DESCRIPTION_FILE, NETWORK_WEIGHTS_FILE
from cxr.validation.adapt import FEWEST, Known, SiteFilms, adapt, write_adapted
from tests.decision_forms import reference_form, with_decisions

NORMAL = Known("north", "normal")


@pytest.fixture
def model(tmp_path):
    return load_model(with_decisions(tmp_path / "model"))


def films(n: int, shift: float, seed: int = 0, **changes) -> SiteFilms:
    """Normal films whose target's logit is `shift` higher than it should be."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(n, 3)).astype(np.float32)
    logits[:, 0] += shift - 3
    logits[:, 2] -= 3
    digests = [f"{number:064x}" for number in range(n)]
    return replace(SiteFilms(logits, None, [()] * n, digests), **changes)


def test_alarms_of_the_site_are_as_few_as_was_asked_for(model) -> None:
    fitted, fresh = films(100, 4), films(4000, 4, seed=1)
    found = adapt(model, fitted, NORMAL)
    assert found.offset < -1
    assert found.before.predicted.value > 0.5
    assert found.after.predicted.value < 0.12
    assert found.after.suspected.value <= found.after.predicted.value
    moved = fresh.logits + np.array([found.offset, 0, 0])
    assert np.mean(moved.argmax(axis=1) == 0) == pytest.approx(0.05, abs=0.03)


def test_of_few_films_the_aim_holds_on_average(model) -> None:
    fresh, shares = films(4000, 4, seed=1).logits, []
    for seed in range(60):
        offset = adapt(model, films(FEWEST, 4, seed=seed + 2), NORMAL).offset
        shares.append(np.mean((fresh + np.array([offset, 0, 0])).argmax(axis=1) == 0))
    assert np.mean(shares) == pytest.approx(0.05, abs=0.02)


def test_one_film_of_few_does_not_decide_for_a_site(model) -> None:
    odd = films(FEWEST, 0).logits
    odd[0] = [12, 0, 0]  # a case that was taken for normal, say
    found = adapt(model, replace(films(FEWEST, 0), logits=odd), NORMAL)
    assert -8 < found.offset < 0


def test_of_many_films_the_order_alone_counts(model) -> None:
    heavy = films(400, 0)
    heavy.logits[:40, 0] += np.linspace(5, 50, 40, dtype=np.float32)  # no normal distribution: a tenth is far off
    found = adapt(model, heavy, NORMAL)
    moved = heavy.logits + np.array([found.offset, 0, 0], np.float32)
    assert np.mean(moved.argmax(axis=1) == 0) == pytest.approx(0.05, abs=0.005)


def test_a_site_with_few_alarms_keeps_its_answers(model) -> None:
    found = adapt(model, films(100, -4), NORMAL)
    assert str(found.offset) == "0.0"
    assert found.before.suspected.value == 0


def test_nothing_overflows_where_the_network_is_as_sure_as_can_be(model) -> None:
    found = adapt(model, films(40, 500), NORMAL)
    assert -510 < found.offset < -490
    assert found.after.suspected.value < 0.2


def test_a_share_of_the_target_is_taken_for_it(model) -> None:
    ill = films(10, 12, seed=2).logits
    mixed = replace(films(100, 0), logits=np.concatenate([films(90, 0).logits, ill]))
    as_normal = adapt(model, mixed, NORMAL).offset
    as_mixed = adapt(model, mixed, Known("north", None, target_share=0.1)).offset
    assert as_normal < as_mixed - 4
    assert as_mixed == pytest.approx(adapt(model, films(90, 0), NORMAL).offset, abs=1)


def test_the_limit_of_a_known_class_is_fitted_where_there_are_films_enough(model) -> None:
    assert adapt(model, films(100, 4), NORMAL).minimum_after is not None
    assert adapt(model, films(FEWEST, 4), Known("north", None, 0.1)).minimum_after is None
    alpha = model.decisions.alpha  # 0.05: at 18 films the smallest is no limit yet
    tiny = replace(model, decisions=replace(model.decisions, alpha=alpha / 10))
    assert adapt(tiny, films(FEWEST, 4), NORMAL).minimum_after is None


def test_the_limit_stays_where_more_films_would_be_suspected_by_it(model) -> None:
    sure = np.tile(np.array([-6, 4, -6], np.float32), (120, 1))
    sure[::30] = [1, 0.5, -6]  # covid is likelier, and normal is in the prediction set: referred
    found = adapt(model, replace(films(120, 0), logits=sure), NORMAL)
    assert found.before.suspected.value == found.after.suspected.value == 0
    assert found.minimum_after is None
    assert found.before.referred.value == found.after.referred.value > 0


def test_sensitivity_falls_by_what_the_model_says_of_its_own_validation(tmp_path) -> None:
    spread = np.linspace(0, 1, 200)
    reference = reference_form(spread, spread, spread, [100, 50, 50]) | {"target": list(np.linspace(0.01, 0.99, 101))}
    model = load_model(with_decisions(tmp_path / "model", reference=reference))
    found = adapt(model, films(100, 4), NORMAL)
    assert found.sensitivity_before == pytest.approx(0.5, abs=0.02)
    assert found.sensitivity_after < found.sensitivity_before
    least = 1 / (1 + np.exp(found.offset))
    assert found.sensitivity_after == pytest.approx(1 - least, abs=0.02)
    lost = f"of the cases in the model's own validation it finds {found.sensitivity_after:.0%}, and "
    assert found.cost.startswith(lost)
    assert found.cost in found.warning


def test_what_it_costs_is_said_where_it_costs_anything(model) -> None:
    found = adapt(model, films(100, 4), NORMAL)
    assert found.cost == ""
    assert replace(found, sensitivity_before=0.9, sensitivity_after=0.9).cost == ""
    some = replace(found, sensitivity_before=0.9, sensitivity_after=0.8)
    assert some.cost == "of the cases in the model's own validation it finds 80%, and 90% before"
    most = replace(found, sensitivity_before=0.9, sensitivity_after=0.1)
    assert "finds 10%, and 90% before: to it the site's films look like cases" in most.cost
    assert most.warning.endswith(most.cost)


def test_the_folder_screens_with_the_moved_answers_and_the_same_network(model, tmp_path) -> None:
    some = films(100, 4)
    found = adapt(model, some, NORMAL)
    write_adapted(tmp_path / "north", model, found)
    again = load_model(tmp_path / "north")
    assert again.identity.startswith(f"{model.description['name']}-north-")
    assert sha256_of(again.folder / NETWORK_WEIGHTS_FILE) == sha256_of(model.folder / NETWORK_WEIGHTS_FILE)
    moved = model.decisions.probabilities(some.logits + np.array([found.offset, 0, 0]))
    assert np.allclose(again.decisions.probabilities(some.logits), moved, atol=1e-12)
    assert again.decisions.minimum[1] == pytest.approx(found.minimum_after)
    assert read_json(tmp_path / "north" / DESCRIPTION_FILE)["adapted"]["films"] == 100
    assert again.decisions.record("covid_sens95", "").offset == {
        "covid": found.offset,
        "normal": 0,
        "viral_pneumonia": 0,
    }


def test_a_folder_that_cannot_be_written_whole_is_not_there(model, tmp_path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OutputError("No space left on device")

    monkeypatch.setattr("cxr.validation.adapt.write_json", full)
    with pytest.raises(OutputError):
        write_adapted(tmp_path / "out" / "north", model, adapt(model, films(60, 4), NORMAL))
    assert list((tmp_path / "out").iterdir()) == []


def test_gate_and_lung_segmenter_go_with_it_to_the_byte(tmp_path) -> None:
    model = load_model(packaged_folder())
    write_adapted(tmp_path / "north", model, adapt(model, films(60, 4), NORMAL))
    again = load_model(tmp_path / "north")
    assert again.gate.sha256 == model.gate.sha256
    lungs = [load_model_lungs(one.folder, one.description).sha256 for one in (again, model)]
    assert lungs[0] == lungs[1]


def test_the_same_films_give_the_same_bytes(model, tmp_path) -> None:
    for name in ("one", "two"):
        write_adapted(tmp_path / name, model, adapt(model, films(60, 4), NORMAL))
    for file in (DECISIONS_FILE, DESCRIPTION_FILE):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_members_of_an_ensemble_are_moved_as_their_mean_is(model) -> None:
    apart = np.array([[[1.0, 0.5, 0], [0.2, 0.8, 0]]])
    assert model.decisions.disagreeing(apart).tolist() == [True]
    moved = replace(model.decisions, offset=np.array([-1.0, 0, 0]))
    assert moved.disagreeing(apart).tolist() == [False]


@pytest.mark.parametrize(
    ("known", "number", "said"),
    [(NORMAL, FEWEST - 1, "at least 20"), (Known("north", "covid"), 50, "expected one of normal, viral_pneumonia")],
)
def test_what_cannot_be_fitted_is_refused(model, known: Known, number: int, said: str) -> None:
    with pytest.raises(DataError, match=said):
        adapt(model, films(number, 0), known)


def test_an_adapted_model_is_not_adapted_again(model, tmp_path: Path) -> None:
    write_adapted(tmp_path / "north", model, adapt(model, films(60, 4), NORMAL))
    with pytest.raises(ModelError, match="adapted to north before"):
        adapt(load_model(tmp_path / "north"), films(60, 4), Known("south", "normal"))
