import pytest

from cxr.core.errors import DataError, UsageError
from cxr.validation.grouping import GroupBy, parse_by, parse_prevalences


def members(by, cells):
    return {name: rows.nonzero()[0].tolist() for name, rows in by.named(cells, "l.csv").items()}


def test_values_are_groups_in_order_and_what_is_empty_comes_last():
    assert members(GroupBy("site"), ["b", "a ", "", "b"]) == {"a": [1], "b": [0, 3], "not stated": [2]}


def test_letter_case_blanks_and_stored_accents_make_no_groups():
    cells = ["K\u00f6ln", "Ko\u0308ln", "KÖLN", "Site  A", "site a", "Not Stated", ""]
    assert members(GroupBy("site"), cells) == {"Köln": [0, 1, 2], "Site  A": [3, 4], "not stated": [5, 6]}


def test_numbers_are_grouped_between_limits_with_points_or_commas():
    cells = ["17,5", "18", "64.9", "65", "100", ""]
    assert members(parse_by("age=18,65"), cells) == {
        "below 18": [0],
        "18 to below 65": [1, 2],
        "65 and above": [3, 4],
        "not stated": [5],
    }
    assert list(members(parse_by("age=2,10,100"), ["50", "5", "1"])) == ["below 2", "2 to below 10", "10 to below 100"]


def test_cells_that_say_not_stated_are_as_empty_ones():
    assert members(GroupBy("site"), ["not stated", "", "a"]) == {"a": [2], "not stated": [0, 1]}


def test_too_many_values_and_words_between_limits_are_refused():
    with pytest.raises(DataError, match=r"has 31 values, too many to be groups .* --by age=18,65"):
        members(GroupBy("age"), [str(number) for number in range(31)])
    for cell in ("old", "nan", "NaN", "inf"):
        with pytest.raises(DataError, match=f"has the cell '{cell}', which is no number"):
            members(parse_by("age=18"), [cell])


@pytest.mark.parametrize("text", ["", "=18", "age=65,18", "age=18,18"])
def test_what_names_no_column_or_no_rising_limits_is_usage(text):
    with pytest.raises(UsageError, match="expected a column, such as site, or a column and limits"):
        parse_by(text)


def test_a_column_may_have_a_sign_of_equality_in_its_name():
    assert parse_by("a=b") == GroupBy("a=b")
    assert parse_by("a=nan") == GroupBy("a=nan")


def test_prevalences_are_shares_or_percentages():
    assert parse_prevalences("2%, 0.1,12.5 %") == (0.02, 0.1, 0.125)
    assert parse_prevalences("2%,0.02,2.00 %,0.1,0.02") == (0.02, 0.1), "equal shares count once"
    for text in (" ", "2%,", "2", "0", "0.0000001", "100%", "x", "nan", "", "0,02"):
        with pytest.raises(UsageError, match=r"is no share between 0 and 1; write two percent as 0.02 or 2%"):
            parse_prevalences(text)
