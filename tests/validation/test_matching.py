from itertools import cycle

import pytest

from cxr.core.errors import DataError
from cxr.screening.paths import unescape
from cxr.validation.labels import Label, read_labels
from cxr.validation.matching import NamedFiles, groups, match
from cxr.validation.results import parse_results
from tests.validation.tables import row


def matched(tmp_path, paths, names, labels=("covid",)):
    rows = zip(names, cycle(labels))
    (tmp_path / "l.csv").write_text(
        "path,label\n" + "".join(f'"{name}",{label}\n' for name, label in rows), encoding="utf-8"
    )
    table = parse_results("t.csv", [row(path) for path in paths], unescape)
    return match(table, read_labels(tmp_path / "l.csv", unescape))


def test_rows_match_by_absolute_path_too(tmp_path):
    (tmp_path / "covid").mkdir()
    (tmp_path / "covid" / "a.png").touch()
    table = parse_results("t.csv", [row(str(tmp_path / "covid" / "a.png"))])
    assert match(table, read_labels(tmp_path, unescape)).names == ("covid/a.png",)


@pytest.mark.parametrize(
    "name",
    [
        "ward 1/Left.png",
        r"ward 1\Left.png",
        r"D:\films\ward 1\Left.png",
        r"\\server\films\ward 1\Left.png",
        "./ward 1/Left.png",
        "/mnt/films/ward 1/Left.png",
        "WARD 1/LEFT.PNG",
        "Left.png",
    ],
)
def test_a_file_is_found_by_any_path_that_ends_like_its_own(tmp_path, name):
    assert matched(tmp_path, ["ward 1/Left.png", "ward 1/right.png"], [name]).rows.tolist() == [0]
    assert matched(
        tmp_path, ["/data/ward 1/Left.png", "/data/ward 1/right.png"], ["ward 1/Left.png"]
    ).rows.tolist() == [0]


@pytest.mark.parametrize(
    ("cell", "name"), [(r"\x3d1.png", "=1.png"), (r"\x3d1.png", r"\x3d1.png"), ("é.png", "e\u0301.png")]
)
def test_escapes_and_accents_are_one_name(tmp_path, cell, name):
    assert matched(tmp_path, [cell], [name]).rows.tolist() == [0]


def test_a_name_of_windows_is_said_as_it_was_written(tmp_path):
    names = [r"D:\films\normal\x41.png", "a.png"]
    found = matched(tmp_path, ["a.png"], names)
    assert found.counts.labels_without_row == NamedFiles(1, (names[0],))
    with pytest.raises(DataError) as told:
        matched(tmp_path, ["b.png"], names[:1])
    assert rf"the labels such as {names[0]}. Write" in str(told.value)


def test_of_several_rows_the_one_with_the_most_folders_in_common_is_meant(tmp_path):
    found = matched(tmp_path, ["left.png", "ward 1/left.png", "ward 2/left.png"], [r"D:\ward 1\left.png", "left.png"])
    assert found.rows.tolist() == [0, 1]
    assert found.names == ("left.png", r"D:\ward 1\left.png")


def test_a_path_that_differs_in_a_folder_is_another_file(tmp_path):
    found = matched(tmp_path, ["ward 1/left.png", "a.png"], ["ward 2/left.png", "a.png"])
    assert found.rows.tolist() == [1]
    assert found.counts.labels_without_row == NamedFiles(1, ("ward 2/left.png",))


def test_names_that_fit_several_rows_are_named_and_left_out(tmp_path):
    found = matched(tmp_path, ["1/left.png", "2/left.png", "a.png"], ["left.png", "a.png"])
    assert found.rows.tolist() == [2]
    assert found.counts.ambiguous == NamedFiles(1, ("left.png",))
    assert found.counts.rows_without_label == NamedFiles(2, ("1/left.png", "2/left.png"))
    with pytest.raises(DataError, match=r"such as left\.png, fits several of its rows; write the folders too"):
        matched(tmp_path, ["1/left.png", "2/left.png"], ["left.png"])


def test_a_row_with_two_labels_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"has two labels for 1/left\.png of t\.csv: as 1/left\.png and as left\.png"):
        matched(tmp_path, ["1/left.png"], ["1/left.png", "left.png"], ["covid", "normal"])
    again = matched(tmp_path, ["1/left.png"], ["1/left.png", "left.png"])
    assert again.rows.tolist() == [0]
    assert again.counts.repeated_labels == NamedFiles(1, ("left.png",))


@pytest.mark.parametrize("name", ["A1", "a1.dcm", "a1.JPG", r"D:\ward 1\A1", "ward 1/a1.tif"])
def test_a_name_without_its_ending_or_with_another_one_is_found(tmp_path, name):
    found = matched(tmp_path, ["ward 1/a1.png", "b.1.png"], [name, "b.1"])
    assert found.rows.tolist() == [0, 1]
    assert found.counts.without_ending == NamedFiles(2, (name, "b.1"))


def test_a_name_with_its_ending_comes_first_and_what_is_no_ending_stays(tmp_path):
    found = matched(tmp_path, ["a.png", "a.jpg"], ["a.dcm", "a.jpg"], ["covid", "normal"])
    assert found.names == ("a.dcm", "a.jpg")
    assert matched(tmp_path, ["a.png", "a.jpg", "c.png"], ["a", "c"]).counts.ambiguous == NamedFiles(1, ("a",))
    assert matched(tmp_path, ["a.2.png", "c.png"], ["a.1", "a", "c"]).counts.labels_without_row.first == ("a.1", "a")


def test_labels_that_fit_nothing_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"paths such as covid/0\.png, the labels such as x/0\.png"):
        matched(tmp_path, ["covid/0.png"], ["x/0.png"])


def test_what_does_not_match_is_counted_and_named(tmp_path):
    counts = matched(tmp_path, ["a.png", "b.png", "c.png"], ["b.png", "elsewhere.png"]).counts
    assert (counts.rows, counts.labels, counts.labelled_rows) == (3, 2, 1)
    assert counts.rows_without_label == NamedFiles(2, ("a.png", "c.png"))
    assert counts.labels_without_row == NamedFiles(1, ("elsewhere.png",))


def test_groups_are_those_stated_or_else_equal_bytes():
    labels = [Label("covid", group) for group in ("p1", "p1", "", "", "", "")]
    assert groups(labels, ["a", "b", "c", "c", "", ""]).tolist() == [0, 0, 1, 1, 2, 3]
