from pathlib import Path

import numpy as np
import pytest

from cxr.core.errors import DataError
from cxr.screening.paths import escape
from cxr.validation.labels import NO_ANSWER, Label, NamedFiles, groups, match, parse_results, read_labels
from tests.validation.tables import CLASSES, row, rows, unanswered


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
    table = parse_results("t.csv", [row(str(tmp_path / "covid" / "a.png"))])
    matched = match(table, read_labels(tmp_path, escape))
    assert matched.names == ("covid/a.png",)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file,label\na.png,covid\n", "has the columns file, label"),
        ("path,label,age\na.png,covid,3\n", "path, label, age"),
        ("", "is empty; expected the columns path,label and, if known, group and source"),
        ("path,label\na.png\n", "row 2, has too few cells: 1, and the header has 2"),
        ("path,label\na.png,covid,9\n", "row 2, has too many cells: 3"),
        ("path,label\na.png,\n", "row 2, has no path or no label"),
        ("path,label\na.png,covid\na.png,normal\n", r"row 3, names a\.png twice"),
    ],
)
def test_wrong_labels_are_refused_with_the_row(tmp_path, text, sentence):
    with pytest.raises(DataError, match=sentence):
        read_labels(write(tmp_path / "l.csv", text), escape)


def test_absent_or_unreadable_labels_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"absent\.csv cannot be read: No such file or directory"):
        read_labels(tmp_path / "absent.csv", escape)
    (tmp_path / "latin.csv").write_bytes(b"path,label\n\xfc.png,covid\n")
    with pytest.raises(
        DataError, match=r"latin\.csv, line 2, is not UTF-8 .*'ü\.png,covid'; save it in Excel as 'CSV UTF-8"
    ):
        read_labels(tmp_path / "latin.csv", escape)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images in class folders"):
        read_labels(tmp_path / "empty", escape)


def test_what_does_not_match_is_counted_and_named(tmp_path):
    table = parse_results("t.csv", rows(3))
    labels = read_labels(write(tmp_path / "l.csv", "path,label\nnormal/1.png,normal\nelsewhere.png,covid\n"), escape)
    counts = match(table, labels).counts
    assert (counts.rows, counts.labels, counts.labelled_rows) == (3, 2, 1)
    assert counts.rows_without_label == NamedFiles(2, ("covid/0.png", "viral_pneumonia/2.png"))
    assert counts.labels_without_row == NamedFiles(1, ("elsewhere.png",))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("path,label\nx/0.png,covid\n", r"paths such as covid/0\.png, the labels such as x/0\.png"),
        ("path,label\ncovid/0.png,covid\nnormal/1.png,tb\nx,lung\n", "the labels lung, tb, which cnn1-0123456789ab"),
    ],
)
def test_labels_that_do_not_fit_the_table_are_refused(tmp_path, text, sentence):
    with pytest.raises(DataError, match=sentence):
        match(parse_results("t.csv", rows(3)), read_labels(write(tmp_path / "l.csv", text), escape))


def test_groups_are_those_stated_or_else_equal_bytes():
    labels = [Label("covid", group) for group in ("p1", "p1", "", "", "", "")]
    assert groups(labels, ["a", "b", "c", "c", "", ""]).tolist() == [0, 0, 1, 1, 2, 3]


def test_a_table_is_read_with_and_without_answers():
    table = parse_results("t.csv", [*rows(3), unanswered("z.png")])
    (network,) = table.networks
    assert table.paths == ("covid/0.png", "normal/1.png", "viral_pneumonia/2.png", "z.png")
    assert (network.name, network.classes) == ("cnn1-0123456789ab", CLASSES)
    assert network.predicted[3] == NO_ANSWER
    assert network.probabilities[:3].sum(axis=1) == pytest.approx(1, abs=1e-12)
    assert not network.probabilities[3].any()


def test_each_network_has_its_own_columns():
    cells = row("a.png", 1, skill=9, prefix="vgg16_", model="vgg16-aa") | row("a.png", 0, skill=9)
    first, second = parse_results("t.csv", [cells]).networks
    assert (first.name, second.name) == ("vgg16-aa", "cnn1-0123456789ab")
    assert (first.predicted[0], second.predicted[0]) == (1, 0)


def test_an_older_table_without_decisions_is_read_too():
    table = [{k: v for k, v in one.items() if k not in ("decision", "in_training_set", "sha256")} for one in rows(3)]
    screened = parse_results("t.csv", table)
    assert screened.networks[0].decisions == ("", "", "")
    assert screened.networks[0].trained == (False, False, False)


def test_of_equal_probabilities_the_predicted_class_stays_the_prediction():
    tied = {"prediction": "normal", "probability_covid": "0.400000", "probability_normal": "0.400000"}
    cells = row("a.png") | tied | {"probability_viral_pneumonia": "0.200000"}
    (network,) = parse_results("t.csv", [cells]).networks
    assert np.argmax(network.probabilities[0]) == network.predicted[0] == 1
    assert network.probabilities[0] == pytest.approx([0.4, 0.4, 0.2], abs=1e-8)


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ({"prediction": "tuberculosis"}, r"\(there is no column probability_tuberculosis\)"),
        ({"probability_covid": "99 %"}, r"\('99 %' is no number\)"),
        ({"probability_covid": "0.900000"}, "sum to"),
        ({"probability_covid": "nan"}, "from 0 to 1"),
    ],
)
def test_an_answer_that_contradicts_itself_is_refused(cells, sentence):
    with pytest.raises(DataError, match=sentence):
        parse_results("t.csv", [row("a.png", 1, skill=5) | cells])


def test_what_is_no_table_is_refused():
    with pytest.raises(DataError, match="expected a table of cxr-batch"):
        parse_results("t.csv", [{"name": "a"}])
    with pytest.raises(DataError, match="no rows"):
        parse_results("t.csv", [])
    with pytest.raises(DataError, match=r"several rows for a\.png"):
        parse_results("t.csv", [row("a.png"), row("a.png")])
