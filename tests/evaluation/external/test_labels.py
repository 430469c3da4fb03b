from pathlib import Path

import pytest

from cxr.errors import DataError
from cxr.evaluation.external.labels import Label, read_labels
from cxr.evaluation.external.matching import groups, match
from cxr.evaluation.external.screened import parse_screened
from cxr.screening.escape import escape
from tests.evaluation.external.tables import row, rows


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_of_a_table(tmp_path):
    labels = read_labels(write(tmp_path / "l.csv", "path,label,source\na.png,covid,bimcv\nb.png,normal,\n"), escape)
    assert labels.files == ((("a.png",), Label("covid", "", "bimcv")), (("b.png",), Label("normal")))


def test_labels_of_folders_leave_masks_aside_and_escape_names(tmp_path):
    for name in ("Viral Pneumonia/images/=1.png", "COVID/a.png", "COVID/masks/a.png", "COVID/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    labels = read_labels(tmp_path, escape)
    assert [(places[0], label.label) for places, label in labels.files] == [
        ("COVID/a.png", "covid"),
        ("Viral Pneumonia/images/=1.png", "viral_pneumonia"),
    ]
    assert str(tmp_path / "COVID/a.png") in labels.files[0][0]


def test_rows_match_by_absolute_path_too(tmp_path):
    (tmp_path / "covid").mkdir()
    (tmp_path / "covid" / "a.png").touch()
    table = parse_screened("t.csv", [row(str(tmp_path / "covid" / "a.png"))])
    matched = match(table, read_labels(tmp_path, escape))
    assert matched.names == ("covid/a.png",)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file,label\na.png,covid\n", "has the columns file, label"),
        ("path,label,age\na.png,covid,3\n", "path, label, age"),
        ("", "columns none"),
        ("path,label\na.png\n", "as many cells"),
        ("path,label\na.png,covid,9\n", "as many cells"),
        ("path,label\na.png,\n", "row 1: path or label is empty"),
        ("path,label\na.png,covid\na.png,normal\n", r"row 2: a\.png is named twice"),
    ],
)
def test_wrong_labels_are_refused_with_the_row(tmp_path, text, sentence):
    with pytest.raises(DataError, match=sentence):
        read_labels(write(tmp_path / "l.csv", text), escape)


def test_absent_or_unreadable_labels_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read as a table of labels"):
        read_labels(tmp_path / "absent.csv", escape)
    (tmp_path / "latin.csv").write_bytes(b"path,label\n\xff.png,covid\n")
    with pytest.raises(DataError, match="cannot be read as a table of labels"):
        read_labels(tmp_path / "latin.csv", escape)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images in class folders"):
        read_labels(tmp_path / "empty", escape)


def test_what_does_not_match_is_counted_and_named(tmp_path):
    table = parse_screened("t.csv", rows(3))
    labels = read_labels(write(tmp_path / "l.csv", "path,label\nnormal/1.png,normal\nelsewhere.png,covid\n"), escape)
    counts = match(table, labels).counts()
    assert counts == {
        "labelled_rows": 1,
        "rows_without_label": {"number": 2, "first": ["covid/0.png", "viral_pneumonia/2.png"]},
        "labels_without_row": {"number": 1, "first": ["elsewhere.png"]},
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("path,label\nx/0.png,covid\n", r"paths such as covid/0\.png, the labels such as x/0\.png"),
        ("path,label\ncovid/0.png,covid\nnormal/1.png,tb\nx,lung\n", "the labels lung, tb, which cnn1-0123456789ab"),
    ],
)
def test_labels_that_do_not_fit_the_table_are_refused(tmp_path, text, sentence):
    with pytest.raises(DataError, match=sentence):
        match(parse_screened("t.csv", rows(3)), read_labels(write(tmp_path / "l.csv", text), escape))


def test_groups_are_those_stated_or_else_equal_bytes():
    labels = [Label("covid", group) for group in ("p1", "p1", "", "", "", "")]
    assert groups(labels, ["a", "b", "c", "c", "", ""]).tolist() == [0, 0, 1, 1, 2, 3]
