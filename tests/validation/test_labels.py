import datetime
import unicodedata
from pathlib import Path

import openpyxl
import pytest

from cxr.core.errors import DataError
from cxr.screening.paths import unescape
from cxr.screening.workbook import write_workbook as write_results
from cxr.validation.labels import (
    LEAVE_OUT,
    NEGATIVE,
    Columns,
    meaning_of,
    read_labels,
    read_meanings,
    require_meanings,
)
from tests.validation.tables import CLASSES


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding)
    return path


def write_workbook(path, *sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets:
        page = book.create_sheet(name)
        for row in rows:
            page.append(row)
    book.save(path)
    return path


def read(file, **wanted):
    return read_labels(file, unescape, Columns(**wanted))


def pairs(labels):
    return [(places[0], label.label) for places, label in labels.files]


def test_labels_of_a_table_keep_all_its_columns(tmp_path):
    labels = read(write(tmp_path / "l.csv", "path,label,group,age\na.png,covid,p1,\nb.png,normal,,7\n"))
    assert pairs(labels) == [("a.png", "covid"), ("b.png", "normal")]
    assert [label.group for _, label in labels.files] == ["p1", ""]
    assert [label.columns["age"] for _, label in labels.files] == ["", "7"]
    assert labels.columns == ("path", "label", "group", "age")
    assert labels.used == Columns("path", "label", "group")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_labels_are_read_as_spreadsheets_save_them(tmp_path, encoding, separator, end):
    lines = [["Filename", "Diagnosis", "Größe"], ["ä\\b.png", "Viral Pneumonia", "1,5"], ["c.png", "covid", ""]]
    cells = [f'"{cell}"' if separator in cell else cell for line in lines for cell in line]
    text = end.join(separator.join(cells[start : start + 3]) for start in (0, 3, 6)) + end
    (tmp_path / "l.csv").write_bytes(text.encode(encoding))
    labels = read(tmp_path / "l.csv")
    assert "ä/b.png" in labels.files[0][0]
    assert labels.files[0][1].columns["Größe"] == "1,5"
    assert [label.label for _, label in labels.files] == ["Viral Pneumonia", "covid"]


def test_columns_may_have_any_name_that_is_named(tmp_path):
    path = write(tmp_path / "l.csv", "Bild;Befund;Fall\na.png;normal;7\n")
    labels = read(path, path="bild", label="Befund", patient="Fall")
    assert labels.used == Columns("Bild", "Befund", "Fall")
    assert labels.files[0][1].group == "7"


@pytest.mark.parametrize(
    ("text", "wanted", "sentence"),
    [
        ("bild,label\na.png,covid\n", {}, "has the columns bild, label; expected one of path, file, .* --path-column"),
        ("path,befund\na.png,covid\n", {}, "the columns path, befund; expected one of label, class, .* --label-column"),
        ("path,label\na.png,covid\n", {"path": "bild"}, "expected 'bild' for the files' names"),
        ("path,label\na.png,covid\n", {"patient": "p"}, "expected 'p' for the patients.*--patient-column"),
        ("path,label\na.png,covid\n", {"sheet": "1"}, "no Excel workbook .*, so it has no sheet '1'"),
        ("", {}, "is empty"),
        ("path,label,label\na.png,covid,\n", {}, "has the column label twice"),
        ("path,label\na.png\n", {}, "row 2, has too few cells: 1, and the header has 2"),
        ("path,label\na.png,covid,9\n", {}, "row 2, has too many cells: 3"),
        ("path,label\n,covid\n", {}, "row 2, names no file; fill in its cell 'path'"),
        ("path,label\n", {}, "no rows below its header"),
        ("path,label\na.png,\nb.png, \n", {}, "no label in any of its 2 rows; fill in its column 'label'"),
        (
            "path,label\na.png,covid\na.png,normal\n",
            {},
            r"names a file in several rows that differ: a\.png \(rows 2, 3\); .* write the folders too",
        ),
        (
            "path,label\n"
            + "".join(
                f"{name},{label}\n" for label in ("covid", "normal", "") for name in "abcd"[: 4 - 3 * (not label)]
            ),
            {},
            r"names 4 files in several rows that differ: a \(rows 2, 6, 10\), b \(rows 3, 7\), c .* and 1 more",
        ),
        (
            "path,label\nd\\a.png,covid\nd/a.png,normal\n",
            {},
            r"names a file in several rows that differ: d/a\.png \(rows 2, 3\)",
        ),
    ],
)
def test_wrong_labels_are_refused_with_the_row_or_the_columns(tmp_path, text, wanted, sentence):
    with pytest.raises(DataError, match=sentence):
        read(write(tmp_path / "l.csv", text), **wanted)


TITLES = (
    "Radiologie;;\r\n\r\nStand: 1.2., vorl\u00e4ufig;;\r\n",
    "Radiologie\r\n",
    ";;\r\n\r\n",
    "Liste, Stand 1.2.\r\n\r\n",
)


@pytest.mark.parametrize("title", TITLES)
def test_the_names_of_columns_may_stand_below_a_title(tmp_path, title):
    text = f"{title}File Name;Class;Haus\r\na.png;covid;1,5\r\n;;\r\nb.png;normal;2\r\n"
    labels = read(write(tmp_path / "l.csv", text))
    assert pairs(labels) == [("a.png", "covid"), ("b.png", "normal")]
    row = str(len(title.splitlines()) + 1)
    assert labels.used == Columns("File Name", "Class", row=row)
    with pytest.raises(DataError, match=rf"row {int(row) + 4}, names no file"):
        read(write(tmp_path / "l.csv", text + ";covid;\r\n"))


@pytest.mark.parametrize("separator", ["|", ";", "\t", ","])
def test_any_separator_is_told(tmp_path, separator):
    text = "Radiologie\n" + "path;label;n\na.png;covid;x\n".replace(";", separator)
    assert pairs(read(write(tmp_path / "l.csv", text))) == [("a.png", "covid")]


def workbook(path, sheets):
    """Write sheets of rows by name; one whose name begins with a minus is hidden."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        page = book.create_sheet(name.removeprefix("-"))
        page.sheet_state = "hidden" if name.startswith("-") else "visible"
        for row in rows:
            page.append(row)
    book.active = len(sheets) - 1
    book.save(path)
    return path


TABLE = [["path", "label"], ["a.png", "covid"]]
OTHER = [["path", "label"], ["b.png", "normal"]]


@pytest.mark.parametrize(
    ("sheets", "sheet", "row"),
    [
        ({"a": TABLE, "b": OTHER}, "a", None),
        ({"cover": [["Radiologie"], ["2024"]], "a": TABLE}, "a", None),
        ({"empty": [], "a": TABLE}, "a", None),
        ({"-old": OTHER, "a": TABLE}, "a", None),
        ({"a": [["Radiologie"], [], *TABLE]}, "a", "3"),
        ({"a": [[], [], [None, "note", "path", "label"], [None, "x", "a.png", "covid"]]}, "a", "3"),
    ],
)
def test_of_a_workbook_the_first_sheet_with_such_columns_is_read(tmp_path, sheets, sheet, row):
    labels = read(workbook(tmp_path / "l.xlsx", sheets))
    assert pairs(labels) == [("a.png", "covid")]
    assert labels.used == Columns("path", "label", None, sheet, row)


def test_a_hidden_sheet_is_read_where_it_is_named(tmp_path):
    path = workbook(tmp_path / "l.xlsx", {"-old": OTHER, "a": TABLE})
    assert pairs(read(path, sheet="old")) == [("b.png", "normal")]
    with pytest.raises(DataError, match="the columns Radiologie; expected one of path"):
        read(workbook(tmp_path / "l.xlsx", {"empty": [], "a": [["Radiologie"], ["x"]]}))


def test_rows_that_say_the_same_again_are_one_file(tmp_path):
    text = "path,label,site\nd\\a.png,covid,1\nb.png,normal,1\nd/a.png,Covid,1\nc.png,,1\nc.png,,1\n"
    labels = read(write(tmp_path / "l.csv", text))
    assert pairs(labels) == [("d\\a.png", "covid"), ("b.png", "normal")]
    assert (labels.repeated, labels.without_label) == (("d/a.png", "c.png"), ("c.png",))
    with pytest.raises(DataError, match=r"several rows that differ: a\.png \(rows 2, 3\)"):
        read(write(tmp_path / "l.csv", "path,label,site\na.png,covid,1\na.png,covid,2\n"))


def test_files_without_a_label_are_kept_apart(tmp_path):
    labels = read(write(tmp_path / "l.csv", "path,label\na.png,covid\nb.png,\n"))
    assert pairs(labels) == [("a.png", "covid")]
    assert labels.without_label == ("b.png",)


def test_absent_or_unreadable_labels_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"absent\.csv cannot be read: No such file or directory"):
        read(tmp_path / "absent.csv")
    (tmp_path / "latin.csv").write_bytes(b"path,label\n\xfc.png,covid\n")
    with pytest.raises(
        DataError, match=r"latin\.csv, line 2, is not UTF-8 .*'ü\.png,covid'; save it in Excel as 'CSV UTF-8"
    ):
        read(tmp_path / "latin.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images in class folders"):
        read(tmp_path / "empty")


def test_a_workbook_is_read_whatever_its_name_says(tmp_path):
    day = datetime.datetime(2024, 5, 1)
    rows = [["file", "class", "taken", "age"], [261, "covid", day, 45.0], ["b.png", "normal", None, 4.5], [], [None]]
    path = write_workbook(tmp_path / "l.xls", ("Tabelle1", rows), ("other", [["path", "label"], ["x.png", "normal"]]))
    labels = read(path)
    assert pairs(labels) == [("261", "covid"), ("b.png", "normal")]
    assert labels.files[0][1].columns == {"file": "261", "class": "covid", "taken": "2024-05-01", "age": "45"}
    assert labels.files[1][1].columns["taken"] == ""
    assert labels.used == Columns("file", "class", None, "Tabelle1")
    assert pairs(read(path, sheet="other")) == [("x.png", "normal")]
    with pytest.raises(DataError, match="has no sheet 'third'; it has Tabelle1, other"):
        read(path, sheet="third")


def test_labels_written_into_a_workbook_of_results_name_its_files(tmp_path):
    write_results(tmp_path / "l.xlsx", ["path", "label"], [["a\x01_x0041_.png", "covid"]])
    assert read(tmp_path / "l.xlsx").files[0][0][0] == "a\x01_x0041_.png"


def test_a_patient_counts_more_than_a_group(tmp_path):
    labels = read(write(tmp_path / "l.csv", "path,label,group,patient\na.png,covid,controls,p1\n"))
    assert labels.files[0][1].group == "p1"


def test_a_broken_workbook_is_refused(tmp_path):
    (tmp_path / "l.xlsx").write_bytes(b"PK\3\4 nothing else")
    with pytest.raises(DataError, match=r"l\.xlsx cannot be read as an Excel workbook; save it anew"):
        read(tmp_path / "l.xlsx")


def test_labels_of_folders_leave_masks_aside(tmp_path):
    for name in ("Viral Pneumonia/images/=1.png", "COVID/a.png", "COVID/masks/a.png", "COVID/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    labels = read(tmp_path)
    assert pairs(labels) == [("COVID/a.png", "COVID"), ("Viral Pneumonia/images/=1.png", "Viral Pneumonia")]
    assert str(tmp_path / "COVID/a.png") in labels.files[0][0]


SPELT = (
    "PCR+",
    "PCR-",
    "sars-cov-2",
    "no covid",
    "Unauffällig",
    "Viral Pneumonia",
    "viral-pneumonia",
    "o.B. (CT)",
    "?",
)


def test_names_of_folders_are_labels_as_a_table_has_them(tmp_path):
    for number, name in enumerate(SPELT):
        (tmp_path / "f" / unicodedata.normalize("NFD", name)).mkdir(parents=True)
        (tmp_path / "f" / unicodedata.normalize("NFD", name) / f"{number}.png").touch()
    text = "path,label\n" + "".join(f"{number}.png,{name}\n" for number, name in enumerate(SPELT))
    in_folders, in_table = read(tmp_path / "f"), read(write(tmp_path / "l.csv", text))
    assert {label.label for _, label in in_folders.files} == {label.label for _, label in in_table.files} == set(SPELT)
    means = read_meanings(None, ["pcr+", "SARS-CoV-2"], ["PCR-", "no_covid", "unauffällig"], ["O.B. (ct)", "?"])
    for labels in (in_folders, in_table):
        found = {label.label: meaning(label.label, means) for _, label in labels.files}
        assert [found[name] for name in SPELT] == [
            *("covid", NEGATIVE, "covid", NEGATIVE, NEGATIVE),
            *("viral_pneumonia", "viral_pneumonia", LEAVE_OUT, LEAVE_OUT),
        ]


def test_hidden_folders_and_files_beside_them_are_no_labels(tmp_path):
    for name in (
        "covid/a.png",
        "covid/.b.png",
        "covid/.old/c.png",
        ".cache/d.png",
        "covid/ward 1/e.png",
        "masks/f.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "g.png").touch()
    assert [name for name, _ in pairs(read(tmp_path))] == ["covid/a.png", "covid/ward 1/e.png"]


def meaning(label, means):
    return meaning_of(label, means, CLASSES, "covid")


def test_a_label_means_a_class_in_any_spelling_of_its_name():
    for label in ("viral_pneumonia", "Viral Pneumonia", "viral-pneumonia", "VIRAL PNEUMONIA"):
        assert meaning(label, {}) == "viral_pneumonia"


@pytest.mark.parametrize("label", ["COVID-", "covid+", "- covid", "covid?", "(covid)", "не covid", "無covid", "¬covid"])
def test_a_label_with_a_sign_beside_a_class_is_not_that_class(label):
    assert meaning(label, {}) is None
    assert meaning(label, read_meanings(None, [], [label])) == NEGATIVE


@pytest.mark.parametrize("label", [" COVID ", "covid_", "Viral  Pneumonia", "viral_pneumonia"])
def test_blanks_and_letter_case_are_no_signs(label):
    assert meaning(label, {}) in CLASSES


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_accents_may_be_stored_in_either_way(tmp_path, forms):
    in_mapping, in_labels = (unicodedata.normalize(form, "Unauffällig") for form in forms)
    means = read_meanings(write(tmp_path / "m.csv", f"label,means\n{in_mapping.upper()},negative\n"))
    assert meaning(in_labels, means) == NEGATIVE
    column = unicodedata.normalize(forms[1], "Ergänzung")
    text = f"path,{column},site\na.png,{in_labels},é\na.png,{in_mapping},e\u0301\n"
    labels = read(write(tmp_path / "l.csv", text), label=unicodedata.normalize(forms[0], "ergänzung"))
    assert pairs(labels) == [("a.png", "Unauffällig")]


def test_what_is_no_class_means_nothing_until_somebody_says_it():
    means = read_meanings(None, ["PCR+"], ["PCR-", "other"], ["unclear"])
    assert [meaning(label, means) for label in ("PCR+", "pcr-", "Other", "unclear")] == [
        "covid",
        NEGATIVE,
        NEGATIVE,
        LEAVE_OUT,
    ]
    assert meaning("PCR", means) is None
    assert [meaning(label, {}) for label in ("positive", "negative", "leave_out")] == [None] * 3


@pytest.mark.parametrize("workbook", [False, True])
def test_a_mapping_file_says_what_labels_mean(tmp_path, workbook):
    rows = [
        ["label", "means", "note"],
        ["COVID-19", "covid", ""],
        ["viral", "Viral Pneumonia", "x"],
        ["tb", "Leave out"],
    ]
    if workbook:
        path = write_workbook(tmp_path / "m.xlsx", ("1", rows))
    else:
        path = write(tmp_path / "m.csv", "".join(";".join(row) + "\n" for row in rows), "utf-8-sig")
    means = read_meanings(path)
    assert [meaning(label, means) for label in ("COVID-19", "viral", "tb")] == ["covid", "viral_pneumonia", LEAVE_OUT]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("label,means\ntb,\n", "row 2, has no label or no meaning"),
        ("label,meaning\ntb,negative\n", "expected the columns label,means"),
        ("label,means\ntb,negative\nTB,leave_out\n", "'TB' is said to mean negative and leave_out"),
    ],
)
def test_a_wrong_mapping_is_refused(tmp_path, text, sentence):
    with pytest.raises(DataError, match=sentence):
        read_meanings(write(tmp_path / "m.csv", text))


def test_a_meaning_that_is_no_class_is_named(tmp_path):
    means = read_meanings(write(tmp_path / "m.csv", "label,means\no.B.,gesund\nPCR+,positive\n"))
    with pytest.raises(
        DataError, match=r"says that 'O\.B\.' means 'gesund'; expected a class of cnn1 .*column 'means'"
    ):
        require_meanings("l.csv", "cnn1", ["O.B.", "PCR+", "other"], means, CLASSES)


def test_labels_without_a_meaning_are_named_with_their_number_and_what_to_do():
    labels = ["covid", "tb", "COVID-19", "tb"]
    with pytest.raises(DataError, match=r"'COVID-19' \(1 file\), 'tb' \(2 files\)\. Say what each means: --positive"):
        require_meanings("l.csv", "cnn1", labels, {}, CLASSES)
    with pytest.raises(DataError, match=r"'covid' means 'flu'"):  # a mapping to a class that the network has not
        require_meanings(
            "l.csv", "cnn1", labels, read_meanings(None, [], ["tb", "covid-19"]) | {"covid": "flu"}, CLASSES
        )
