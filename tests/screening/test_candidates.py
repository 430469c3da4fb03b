from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr.screening import candidates as module
from cxr.screening.candidates import Candidate, Candidates, Gathering

names = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1, max_size=8)


def gathered(some: list[Candidate]) -> Candidates:
    gathering = Gathering()
    for one in some:
        gathering.add(one)
    return gathering.sorted()


@given(
    st.dictionaries(names, st.tuples(names, st.booleans(), st.sampled_from(["", "12 ", "12 etag"]))), st.integers(1, 4)
)
def test_they_come_back_as_they_were_sorted_by_cell(given: dict[str, tuple[str, bool, str]], run: int) -> None:
    some = [Candidate(cell, *rest) for cell, rest in given.items()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "RUN", run)  # several runs of a few each
        table = gathered(some)
        assert list(table) == sorted(some, key=lambda one: one.cell)
        assert len(table) == len(some)
        assert [table[number] for number in range(len(table))] == list(table)
        assert table[1:3] == list(table)[1:3]


def test_a_name_that_is_not_utf_8_keeps_its_bytes() -> None:
    odd = Candidate("a\\xff.png", "a\udcff.png")
    assert list(gathered([odd])) == [odd]


def test_equal_ones_are_equal() -> None:
    some = [Candidate(name, name) for name in "ba"]
    assert gathered(some) == gathered(some[::-1])
    assert gathered(some) != gathered(some[:1])
    assert gathered(some) != gathered([*some[:1], Candidate("a", "a", mark="1 ")])


def test_of_one_cell_one_stays() -> None:
    table = gathered([Candidate("a", "a", mark="1 x"), Candidate("b", "b"), Candidate("a", "a", mark="2 y")])
    assert [one.cell for one in table] == ["a", "b"]


def test_some_of_them_share_the_names() -> None:
    table = gathered([Candidate(name, name) for name in "dcba"])
    some = table.taking(array("Q", [1, 3]))
    assert [one.cell for one in some] == ["b", "d"]
    assert [one.cell for one in some.taking(array("Q", [1]))] == ["d"]
    assert not Candidates()
