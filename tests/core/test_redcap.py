import pytest

from cxr.core.redcap import FieldType, RedcapField, coded, record_id, variables, write_redcap
from tests.redcap import codes_of, read_redcap


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["width", "bit_depth"], ["width", "bit_depth"]),
        (["dicom_StudyDate", "Größe (cm)", "2nd reader"], ["dicom_studydate", "grosse_cm", "v_2nd_reader"]),
        (["p_bacterial_pneumonia_of_children", "p_bacterial_pneumonia_of_adults"],
         ["p_bacterial_pneumonia_of_c", "p_bacterial_pneumonia_of_a"]),
        (["a" * 30, "a" * 40, "A" * 26], ["a" * 26, f"{'a' * 24}_2", f"{'a' * 24}_3"]),
        (["肺炎", "正常"], ["v", "v_2"]),
    ],
)  # fmt: skip
def test_names_become_variables_that_differ(names, found):
    assert variables(names) == found


def test_records_have_codes_and_a_dictionary(tmp_path):
    fields = [
        RedcapField(name="class", label="Class", type=FieldType.CHOICE, words=("gesund", "Größe | 2", "größe | 2")),
        RedcapField(name="share", label="Share, %", type=FieldType.NUMBER, low="0", high="1"),
        RedcapField(name="path", label="Path", identifies=True),
    ]
    write_redcap(
        tmp_path / "a.csv", "films", "A film", fields, [["1", "gesund", "0.5", "a,b"], ["2", "Größe | 2", "", ""]]
    )
    records, entries = read_redcap(tmp_path / "a.csv")
    assert [one["class"] for one in records] == ["gesund", "grosse_2"]
    assert codes_of(entries["class"]) == ["gesund", "grosse_2", "grosse_2_2"]
    assert records[0]["path"] == "a,b"
    assert {entries["path"]["Identifier?"], entries["share"]["Identifier?"]} == {"y", ""}
    assert {one["Form Name"] for one in entries.values()} == {"films"}


def test_a_record_is_called_by_what_it_is_of():
    assert record_id("a", "b") == record_id("a", "b") != record_id("ab")


def test_words_are_their_codes_where_redcap_takes_them() -> None:
    long = "a_class_with_a_name_of_more_than_26_characters"
    assert coded(["PNG", "ok", long]) == {"PNG": "PNG", "ok": "ok", long: long}
    assert coded(["a b", "A_B", "a_b"]) == {"a b": "a_b_3", "A_B": "A_B", "a_b": "a_b"}
