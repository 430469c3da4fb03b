"""Import by a table of labels, alone or beside class folders; patients of DICOM files."""

import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from openpyxl import Workbook

from cxr.cli.data import remarks
from cxr.core.errors import CxrError
from cxr.dataset.release import read_patients, read_sources
from cxr.dataset.spelling import label_key
from cxr.ingest.archive import Limits
from cxr.ingest.importer import Additions, Staged, open_project, put_in_place, require_readable, staged
from tests.dataset.releases import digest, png, release_files, write_tree, write_zip
from tests.dicoms import save_dicom

HEADER = "path,label,patient,collection\n"


def bring(source: Path, root: Path, **more: object) -> Staged:
    with staged(source, open_project(root, dvc=False), Limits(), more=Additions(**more)) as release:  # type: ignore[arg-type]
        require_readable(release.inspected)
        put_in_place(release, dvc=False)
        return release


def refusal(source: Path, root: Path, **more: object) -> str:
    before = digest(root)
    with pytest.raises(CxrError) as caught:
        bring(source, root, **more)
    assert digest(root) == before, "the refused import changed the project"
    return str(caught.value)


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    """Write eight films and a table that names some of them."""
    write_tree(folder, {f"films/{number}.png": png(number) for number in range(8)})
    path = folder / "labels.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_table_alone_stands_in_for_class_folders(tmp_path: Path, project: Path) -> None:
    text = HEADER + "films/0.png,covid,p1,ward\nfilms/1.png,Normal,p1,\nfilms/2.png,normal,,clinic\n"
    release = bring(table(tmp_path / "clinic", text), project)
    assert release.expected_files == 3
    placed = {path.relative_to(project / "data").as_posix() for path in (project / "data").rglob("*.png")}
    assert placed == {
        "covid/images/ward/films/0.png",
        "normal/images/films/1.png",
        "normal/images/clinic/films/2.png",
    }
    assert read_patients(project / "data") == {
        "covid/images/ward/films/0.png": "p1",
        "normal/images/films/1.png": "p1",
    }
    assert read_sources(project / "data") == {
        "covid/images/ward/films/0.png": "ward",
        "normal/images/clinic/films/2.png": "clinic",
    }


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_is_read_as_spreadsheets_save_it(tmp_path: Path, project: Path, separator: str) -> None:
    text = (HEADER + "films\\0.png,COVID,p1,Krankenhaus Süd\nfilms\\1.png,normal,p2,x\n").replace(",", separator)
    path = table(tmp_path / "clinic", text.replace("\n", "\r\n"), "utf-8-sig")
    assert bring(path, project).expected_files == 2
    assert set(read_sources(project / "data").values()) == {"Krankenhaus Süd", "x"}


def test_a_workbook_with_other_names_for_its_columns_is_read_too(tmp_path: Path, project: Path) -> None:
    path = table(tmp_path / "clinic", "").with_name("labels.xlsx")
    book = Workbook()
    for row in (
        ["Patient ID", "File", "Diagnosis", "Collection"],
        [7, "films\\0.png", "COVID", "x"],
        [7.0, "films/1.png", "normal"],
    ):
        book.active.append(row)
    book.save(path)
    assert bring(path, project).expected_files == 2
    assert set(read_patients(project / "data").values()) == {"7"}, "or one patient would lie in two splits"
    assert set(read_sources(project / "data").values()) == {"x"}


def test_a_table_without_a_column_of_labels_is_refused_with_the_names_that_are_known(
    tmp_path: Path, project: Path
) -> None:
    said = refusal(table(tmp_path / "clinic", "path,finding\nfilms/0.png,covid\n"), project)
    assert "labels.csv has the columns path, finding; expected one of path, file" in said


def test_tables_extend_class_folders_and_keep_their_own_collections(tmp_path: Path, project: Path) -> None:
    sheet = b"FILE NAME,URL\nNORMAL-1,https://one.example\n"
    files = release_files() | {
        "Normal.metadata.csv": sheet,
        "patients.csv": b"file,patient_id\nCOVID/images/COVID-1.png,a\n",
    }
    archive = write_zip(tmp_path / "release.zip", files)
    other = table(tmp_path / "clinic", HEADER + "films/1.png,normal,n1,shenzhen\nfilms/2.png,normal,n1,\n")
    release = bring(archive, project, tables=(other,))
    assert release.expected_files == 7
    assert (project / "data/Normal/images/shenzhen/films/1.png").is_file(), "the class keeps its one folder"
    assert read_sources(project / "data") == {
        "Normal/images/Normal-1.png": "https://one.example",
        "Normal/images/shenzhen/films/1.png": "shenzhen",
    }
    assert read_patients(project / "data") == {
        "COVID/images/COVID-1.png": "a",
        "Normal/images/shenzhen/films/1.png": "n1",
        "Normal/images/films/2.png": "n1",
    }


def test_films_of_two_tables_that_a_disk_of_macos_would_take_for_one_are_refused(tmp_path: Path, project: Path) -> None:
    first = table(tmp_path / "a", HEADER + "films/0.png,covid,,\nfilms/1.png,normal,,\n")
    write_tree(tmp_path / "b", {"films/0.PNG": png(9)})
    other = tmp_path / "b/labels.csv"
    other.write_text(HEADER + "films/0.PNG,covid,,\n")
    assert "would both become data/covid/images/films/0.PNG" in refusal(first, project, tables=(other,))


def test_what_was_imported_is_extended_by_importing_it_again_with_more(tmp_path: Path, project: Path) -> None:
    first = table(tmp_path / "a", HEADER + "films/0.png,covid,p1,a\nfilms/1.png,normal,p2,a\n")
    bring(first, project)
    bring(project / "data", project, tables=(table(tmp_path / "b", HEADER + "films/2.png,normal,p3,b\n"),))
    assert sorted(read_sources(project / "data").values()) == ["a", "a", "b"]
    assert sorted(read_patients(project / "data").values()) == ["p1", "p2", "p3"]


def test_every_kind_of_fault_is_named_with_its_row(tmp_path: Path, project: Path) -> None:
    write_tree(tmp_path / "clinic", {"notes.doc": b"x"})
    rows = (
        "films/0.png,covid",
        "films/9.png,covid",
        "notes.doc,covid",
        "films/0.png,normal",
        "films/1.png,",
        "../x.png,normal",
    )
    said = refusal(table(tmp_path / "clinic", "path,label\n" + "\n".join(rows)), project)
    assert "row 3: films/9.png does not exist" in said
    assert "row 4: notes.doc is no image by its name" in said
    assert "row 5: films/0.png is in row 2 too: label 'covid' there and 'normal' here;" in said
    assert "row 6: no label" in said
    assert "row 7: ../x.png is not below the folder of the table" in said


def test_two_rows_that_contradict_each_other_are_named_with_what_they_say(tmp_path: Path, project: Path) -> None:
    said = refusal(table(tmp_path / "c", HEADER + "films/0.png,covid,p1,a\nfilms/0.PNG,normal,p1,b\n"), project)
    assert "films/0.PNG does not exist" in said or "'covid' there and 'normal' here" in said
    said = refusal(table(tmp_path / "c", HEADER + "films/0.png,covid,p1,a\nfilms/0.png,normal,p1,\n"), project)
    assert "row 3: films/0.png is in row 2 too: label 'covid' there and 'normal' here" in said
    assert "collection 'a' there and 'empty' here" in said


def test_rows_that_say_the_same_again_are_one_image(tmp_path: Path, project: Path) -> None:
    rows = ("films/0.png,covid", "films/1.png,normal", "films/0.png,COVID", r"films\1.png,normal")
    release = bring(table(tmp_path / "clinic", "path,label\n" + "\n".join(rows)), project)
    assert (release.expected_files, release.repeated) == (2, 2)
    (said,) = (one for one in remarks(release) if "again" in one)
    assert said == "Left out: 2 rows of tables that say again what another row says."


def test_a_label_that_is_no_class_is_left_aside_only_where_told(tmp_path: Path, project: Path) -> None:
    rows = "films/0.png,covid\nfilms/1.png,normal\n" + "".join(f"films/{n}.png,other\n" for n in range(2, 7))
    path = table(tmp_path / "clinic", "path,label\n" + rows)
    said = refusal(path, project)
    assert "rows 4, 5, 6 and 2 more: the label 'other' is neither a class nor discarded" in said
    assert "prepare.discard" in said
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("[lung_opacity]", "[lung_opacity, other]"))
    release = bring(path, project)
    assert (release.expected_files, release.counts["other"].images) == (2, 5)


def test_another_word_for_a_class_is_renamed_only_where_told(tmp_path: Path, project: Path) -> None:
    path = table(tmp_path / "clinic", "path,label\nfilms/0.png,PCR positive\nfilms/1.png,normal\n")
    assert "the label 'PCR positive' is neither" in refusal(path, project)
    assert bring(path, project, renamed={"pcr positive": "covid"}).counts["covid"].images == 1


@pytest.mark.parametrize(
    "label", ["covid-", "covid (-)", "covid ?", "COVID 阴性", "¬covid", "!covid", "-covid", "covid +"]
)
def test_a_sign_beside_a_class_may_mean_the_opposite_and_is_refused(label: str, tmp_path: Path, project: Path) -> None:
    path = table(tmp_path / "clinic", f"path,label\nfilms/0.png,{label}\nfilms/1.png,normal\nfilms/2.png,covid\n")
    assert f"the label {label!r} is neither" in refusal(path, project)
    counts = bring(path, project, renamed={label_key(label): "normal"}).counts
    assert (counts["covid"].images, counts["normal"].images) == (1, 2)


@pytest.mark.parametrize("folder", ["COVID-", "COVID (-)", "covid?", "не covid"])
def test_a_folder_with_a_sign_beside_a_class_is_none_of_it(folder: str, tmp_path: Path, project: Path) -> None:
    tree = {f"{folder}/0.png": png(0), "Normal/1.png": png(1)}
    assert "No folder for the class covid" in refusal(write_tree(tmp_path / "source", tree), project)


def test_a_collection_that_no_folder_can_be_called_is_refused_with_its_row(tmp_path: Path, project: Path) -> None:
    path = table(tmp_path / "clinic", HEADER + f"films/0.png,covid,p1,{'ward ' * 60}\nfilms/1.png,normal,p2,\n")
    assert re.search(r"row 2: the collection 'ward ward ward ward '\.\.\. has \d+ characters", refusal(path, project))


def test_which_of_two_columns_of_one_meaning_was_read_is_said(tmp_path: Path, project: Path) -> None:
    text = "path,diagnosis,label\nfilms/0.png,normal,covid\nfilms/1.png,covid,normal\n"
    release = bring(table(tmp_path / "clinic", text), project)
    assert "labels.csv: read are the columns path, label, not diagnosis." in list(remarks(release))
    other = table(tmp_path / "other", "path,label\nfilms/0.png,covid\nfilms/1.png,normal\n")
    assert not [one for one in remarks(bring(other, project)) if "read are the columns" in one]


def test_one_patient_written_in_two_forms_of_an_accent_is_one(tmp_path: Path, project: Path) -> None:
    names = [unicodedata.normalize(form, "René") for form in ("NFC", "NFD")]
    rows = "".join(f"films/{n}.png,{label},{names[n]},\n" for n, label in enumerate(["covid", "normal"]))
    bring(table(tmp_path / "clinic", HEADER + rows), project)
    assert set(read_patients(project / "data").values()) == {"René"}


def test_a_class_without_an_image_and_an_empty_table_are_refused(tmp_path: Path, project: Path) -> None:
    assert "No image is of the class normal" in refusal(
        table(tmp_path / "a", "path,label\nfilms/0.png,covid\n"), project
    )
    assert "names no image" in refusal(table(tmp_path / "b", "path,label\n"), project)


def test_two_tables_that_would_overwrite_each_other_are_refused(tmp_path: Path, project: Path) -> None:
    text = "path,label\nfilms/0.png,covid\nfilms/1.png,normal\n"
    said = refusal(table(tmp_path / "a", text), project, tables=(table(tmp_path / "b", text),))
    assert "would both become data/covid/images/films/0.png" in said


def test_a_folder_with_a_table_and_no_class_folders_names_the_table(tmp_path: Path, project: Path) -> None:
    said = refusal(table(tmp_path / "clinic", "path,label\nfilms/0.png,covid\n").parent, project)
    assert "A table of labels is imported by its own name: labels.csv" in said


def films(folder: Path, identities: list[str | None]) -> Path:
    folder.mkdir()
    for number, identity in enumerate(identities):
        pixels = np.random.default_rng(number).integers(0, 4000, (16, 16), dtype=np.uint16)
        save_dicom(folder / f"{number}.dcm", pixels, PatientID=identity, Modality="DX", BodyPartExamined="CHEST")
    lines = [f"{number}.dcm,{'covid' if number % 2 else 'normal'}" for number in range(len(identities))]
    (folder / "labels.csv").write_text("path,label\n" + "\n".join(lines) + "\n")
    return folder / "labels.csv"


def test_patients_of_dicom_files_are_numbered_on_request_and_their_ids_written_nowhere(
    tmp_path: Path, project: Path
) -> None:
    path = films(tmp_path / "clinic", ["SECRET-1", "SECRET-2", "SECRET-1", "ANONYMOUS", None, "anonymous"])
    assert bring(path, project).patients == {}
    release = bring(path, project, patients_from_dicom=True)
    first, second = (
        release.patients[f"{name}/images/{name_of}.dcm"] for name, name_of in (("normal", 0), ("covid", 1))
    )
    assert release.patients == {
        "normal/images/0.dcm": first,
        "covid/images/1.dcm": second,
        "normal/images/2.dcm": first,
    }
    assert first != second
    written = [file.read_text() for file in project.rglob("*.csv")]
    assert written
    assert not any("SECRET" in text for text in written)


def test_a_patient_that_a_table_names_is_not_replaced_and_numbers_are_given_anew(tmp_path: Path, project: Path) -> None:
    path = films(tmp_path / "clinic", ["A", "B"])
    bring(path, project, patients_from_dicom=True)
    more = films(tmp_path / "more", ["B", "C"])
    text = more.read_text().replace("label", "label,patient,collection")
    more.write_text(text.replace("0.dcm,normal", "0.dcm,normal,,m").replace("1.dcm,covid", "1.dcm,covid,known,m"))
    release = bring(project / "data", project, tables=(more,), patients_from_dicom=True)
    assert release.patients["normal/images/m/0.dcm"] == release.patients["covid/images/1.dcm"], "B in both"
    assert release.patients["covid/images/m/1.dcm"] == "known"
    assert release.patients["normal/images/0.dcm"] != release.patients["covid/images/1.dcm"]


def test_folders_in_other_languages_are_classes_without_accents(tmp_path: Path, project: Path) -> None:
    params = project / "params.yaml"
    text = params.read_text(encoding="utf-8")
    params.write_text(
        re.sub(r"^classes: .*$", "classes: [neumonia, grosse, sano]", text, flags=re.MULTILINE), encoding="utf-8"
    )
    write_tree(tmp_path / "c", {f"{name}/{n}.png": png(n) for n, name in enumerate(("Neumonía", "Größe", "SANO"))})
    assert bring(tmp_path / "c", project).expected_files == 3
