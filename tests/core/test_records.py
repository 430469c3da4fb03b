from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pytest

from cxr.core.records import as_json, from_json, parts


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
