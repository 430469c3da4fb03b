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


def test_a_comma_that_may_stand_between_thousands_is_refused_with_its_row():
    cells, rows = ["20", "1,234", "900", "1,500"], ["row 2", "row 3", "row 4", "row 5"]
    by = parse_by("days=100,1000")
    with pytest.raises(
        DataError, match=r"l\.csv, row 3, has '1,234' in the column 'days', which may be 1234 or 1\.234;"
    ):
        by.named(cells, "l.csv", rows)
    assert list(by.named(cells, "l.csv", rows, decimal_comma=True)) == ["below 100", "100 to below 1000"]
    assert list(GroupBy("days").named(cells, "l.csv")) == sorted(cells), "as they are, they are no numbers"


@pytest.mark.parametrize("other", ["17,5", "0,250", "1,2340", "1000,123"])
def test_a_column_may_tell_that_its_comma_is_the_decimal_point(other):
    assert members(parse_by("days=2,100"), ["1,234", other])["below 2"][0] == 0
    with pytest.raises(DataError, match=r"has '1\.234' in the column 'days', which may be 1234 or 1\.234"):
        members(parse_by("days=100"), ["1.234", other])


def test_a_point_is_the_decimal_one_where_nothing_says_otherwise():
    assert members(parse_by("days=100"), ["1.234", "900"]) == {"below 100": [0], "100 and above": [1]}
    with pytest.raises(DataError, match="has '1,234'"):
        members(parse_by("days=100"), ["1,234", "12.5"])
    by = parse_by("days=100")
    with pytest.raises(DataError, match=r"has '1\.234'"):
        by.named(["1.234", "900"], "l.csv", decimal_comma=True)
    assert by.named(["1.234", "12.5"], "l.csv", decimal_comma=True).keys() == {"below 100"}
