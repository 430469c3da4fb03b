from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pytest

from cxr.core.errors import AuditError, ParamsError
from cxr.core.records import Audit, Result, as_json, from_json, parts, stop_unless_waived, waive


class Kind(StrEnum):
    ONE = "one"


@dataclass(frozen=True, slots=True)
class Leaf:
    value: float | None
    label: str = field(metadata={"key": "class"})


@dataclass(frozen=True, slots=True)
class Tree:
    kind: Kind
    leaves: tuple[Leaf, ...]
    pair: tuple[int, str]
    by_name: Mapping[str, Leaf]
    counts: Mapping[Kind, int]
    best: Leaf | None = None
    note: str | None = field(default=None, metadata={"absent": True})


TREE = Tree(Kind.ONE, (Leaf(0.5, "a"), Leaf(None, "b")), (1, "x"), {"a": Leaf(1.0, "a")}, {Kind.ONE: 2})
JSON = {
    "kind": "one",
    "leaves": [{"value": 0.5, "class": "a"}, {"value": None, "class": "b"}],
    "pair": [1, "x"],
    "by_name": {"a": {"value": 1.0, "class": "a"}},
    "counts": {"one": 2},
    "best": None,
}


def test_fields_become_keys_in_their_order_under_the_names_of_json():
    assert as_json(TREE) == JSON
    assert list(as_json(TREE)) == list(JSON)
    assert as_json(Tree(Kind.ONE, (), (1, "x"), {}, {}, note="seen"))["note"] == "seen"


def test_what_was_written_is_read_as_it_was():
    assert from_json(Tree, JSON) == TREE
    assert from_json(Tree, JSON | {"unknown": 1, "best": {"value": 2, "class": "c"}}).best == Leaf(2, "c")


@pytest.mark.parametrize(
    "wrong",
    [
        {key: value for key, value in JSON.items() if key != "leaves"},
        JSON | {"kind": "two"},
        JSON | {"leaves": None},
        JSON | {"leaves": [{"value": 1}]},
        JSON | {"pair": [1]},
        [],
    ],
    ids=["a key is absent", "no such member", "no list", "a key inside is absent", "too short", "no object"],
)
def test_json_of_another_form_is_refused(wrong):
    with pytest.raises(ValueError, match=r".+"):
        from_json(Tree, wrong)


def test_a_larger_record_is_made_of_a_smaller_one():
    assert Leaf(**parts(TREE.leaves[0])) == TREE.leaves[0]


def record(id="leak", result=Result.FAIL, fixable=True, model=None):
    return Audit(id, "A leak", fixable=fixable).record(result, "2 pictures leak.", "Any fails.", {}, model)


def test_a_failure_without_waiver_stops_and_says_how_to_waive():
    with pytest.raises(AuditError, match=r"A leak: 2 pictures leak\..*params\.yaml: split\.waivers\.leak: why"):
        stop_unless_waived(waive([record()], {}), "split")


def test_a_waived_failure_goes_on_and_carries_its_reason():
    waived = waive([record()], {"leak": "known since May"})
    stop_unless_waived(waived, "split")
    assert waived[0].waiver == "known since May"
    assert waived[0].result == "fail"


@pytest.mark.parametrize("result", [Result.PASS, Result.WARN, Result.NOT_MEASURABLE, Result.NOT_APPLICABLE])
def test_only_failures_stop_and_only_they_are_waived(result):
    waived = waive([record(result=result)], {"leak": "just in case"})
    stop_unless_waived(waived)
    assert waived[0].waiver is None


def test_what_cannot_be_put_right_never_stops():
    stop_unless_waived(waive([record(fixable=False)], {}))


def test_one_waived_failure_does_not_excuse_another():
    waived = waive([record("one"), record("two", model="cnn1")], {"one": "known"})
    with pytest.raises(AuditError, match=r"A leak of cnn1") as caught:
        stop_unless_waived(waived, "evaluate")
    assert "evaluate.waivers.one" not in str(caught.value)
    assert "evaluate.waivers.two: why" in str(caught.value)


def test_a_misspelt_waiver_is_refused_with_the_names_that_exist():
    with pytest.raises(ParamsError, match=r"waivers for laek, which this stage does not audit; it audits leak"):
        waive([record()], {"laek": "known"})


def test_a_waiver_without_a_reason_is_refused():
    with pytest.raises(ParamsError, match="the waivers of leak give no reason"):
        waive([record()], {"leak": "  "})


def test_the_input_is_not_changed():
    records = [record()]
    waive(records, {"leak": "known"})
    assert records[0].waiver is None
