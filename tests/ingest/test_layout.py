from contextlib import nullcontext
from pathlib import Path, PurePosixPath

import pytest

from cxr.cli.data import remarks
from cxr.core.errors import DataError
from cxr.dataset.release import read_patients
from cxr.ingest.archive import Limits
from cxr.ingest.importer import open_project, put_in_place, staged
from cxr.ingest.layout import move_file_table
from tests.dataset.releases import make_project, png, write_tree
from tests.imports import ROOT

PLACES = {PurePosixPath("COVID/a.png"): PurePosixPath("COVID/images/a.png")}


def moved(tmp_path: Path, content: bytes) -> tuple[int, bytes]:
    (tmp_path / "patients.csv").write_bytes(content)
    lost = move_file_table(tmp_path / "patients.csv", tmp_path / "out.csv", "patient_id", PLACES)
    return lost, (tmp_path / "out.csv").read_bytes()


@pytest.mark.parametrize("spelt", [b"COVID/a.png", b"./COVID/a.png", b"COVID\\a.png"])
def test_lines_follow_their_files_and_keep_their_other_columns(tmp_path: Path, spelt: bytes) -> None:
    lost, table = moved(tmp_path, b"\xef\xbb\xbfsite,file,patient_id\r\nA," + spelt + b",p 1\r\n")
    assert (lost, table) == (0, b"site,file,patient_id\nA,COVID/images/a.png,p 1\n")


def test_lines_without_a_file_are_left_out_and_counted(tmp_path: Path) -> None:
    lost, table = moved(tmp_path, b"file,patient_id\nCOVID/b.png,1\nCOVID/a.png,2\nx.png,3\n")
    assert (lost, table) == (2, b"file,patient_id\nCOVID/images/a.png,2\n")


def test_a_table_whose_paths_stay_is_not_touched(tmp_path: Path) -> None:
    table = b"file,patient_id\r\nCOVID/images/a.png,1\r\n"
    (tmp_path / "in.csv").write_bytes(table)
    stays = {PurePosixPath("COVID/images/a.png"): PurePosixPath("COVID/images/a.png")}
    assert move_file_table(tmp_path / "in.csv", tmp_path / "out.csv", "patient_id", stays) == 0
    assert (tmp_path / "out.csv").read_bytes() == table


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "patients.csv is empty; expected the columns file,patient_id"),
        (b"path,patient_id\n", "has the columns path, patient_id; expected the columns file,patient_id"),
        (b"file,patient_id\na.png,1\nb.png\n", "patients.csv, row 3, has too few cells"),
        (b"file,patient_id\n\xff\xfe,1\n", "patients.csv, line 2, is not UTF-8"),
        (b"file,patient_id\r\nCOVID/a.png,M\xfcller\r\n", "Windows-1252: 'COVID/a.png,Müller'"),
        (
            b"file,patient_id\nCOVID/a.png,p1\n.\\COVID\\a.png,p2\n",
            "row 3, names COVID/a.png twice; give each file one",
        ),
        (b"file,patient_id\n,p1\n", "row 2, names no file"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        moved(tmp_path, content)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_table_of_a_spreadsheet_is_written_as_plain_csv(tmp_path: Path, encoding: str) -> None:
    text = "sep=;\r\nFile;patient_id;;\r\nCOVID\\a.png;Müller;;\r\n;;;\r\n"
    assert moved(tmp_path, text.encode(encoding)) == (0, "file,patient_id\nCOVID/images/a.png,Müller\n".encode())


@pytest.mark.parametrize(
    "name", ["Normal.metadata.csv", "NORMAL.METADATA.XLSX", "covid.metadata.xls", "Other.metadata.csv", "metadata.csv"]
)
def test_metadata_sheets_come_with_their_class_folder(tmp_path: Path, name: str) -> None:
    project = make_project(tmp_path / "project")
    sheet = b"FILE NAME;URL\r\n1;https://a\r\n"
    source = write_tree(tmp_path / "source", {name: sheet, "COVID/a1.png": png(1), "Normal/b1.png": png(2)})
    with staged(source, open_project(project, dvc=False), Limits()) as release:
        put_in_place(release, dvc=False)
    wanted = {"Normal.metadata.csv", "NORMAL.METADATA.XLSX", "covid.metadata.xls"}
    found = {path.name for path in (project / "data").iterdir() if path.is_file()}
    folder = "COVID" if name.startswith("covid") else "Normal"
    assert found == ({folder + name[name.index(".") :].lower()} if name in wanted else set())
    assert release.counts[folder.lower()].sources == {"https://a" if name in wanted else "unknown": 1}


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("empty.csv", "patients.csv is empty; expected the columns file,patient_id; fill it in, or remove it"),
        ("twice.csv", "patients.csv, row 3, names COVID/images/COVID-1.png twice; give each file one row"),
        ("windows-1252.csv", "perhaps Windows-1252: 'COVID/images/COVID-1.png,Müller'; save it in Excel as"),
    ],
)
def test_import_and_prepare_refuse_the_same_tables_in_the_same_words(tmp_path: Path, file: str, words: str) -> None:
    content = (ROOT / "tests" / "inputs" / "patients" / file).read_bytes()
    with pytest.raises(DataError) as at_import:
        moved(tmp_path, content)
    with pytest.raises(DataError) as at_prepare:
        read_patients(tmp_path)
    assert words in str(at_import.value) == str(at_prepare.value)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"set/Patients.CSV": b"file;patient_id\r\nCOVID/a.png;1\r\n"}, ""),
        ({"set/patients.csv": b"file,patient_id\nCOVID/a.png,1\n", "set/patients.xlsx": b"PK"}, ""),
        ({"set/patients.xlsx": b"PK"}, r"set/patients\.xlsx is not read, only patients\.csv is; save it beside it by"),
        ({"PATIENTS.XLS": b"\xd0"}, r"PATIENTS\.XLS is not read, .* in Excel as 'CSV UTF-8'"),
        ({"set/patients.csv.txt": b"file,patient_id\n"}, r"patients\.csv\.txt is not read"),
        ({"set/patients.csv": b"file,patient_id\nCOVID/a.png,1\n", "set/patients.txt": b"notes"}, ""),
    ],
)
def test_patients_are_never_left_out_in_silence(tmp_path: Path, files: dict[str, bytes], words: str) -> None:
    source = write_tree(tmp_path / "source", files | {"set/COVID/a.png": png(1), "set/Normal/b.png": png(2)})
    project = make_project(tmp_path / "project")
    with (
        pytest.raises(DataError, match=words) if words else nullcontext(),
        staged(source, open_project(project, dvc=False), Limits()) as release,
    ):
        put_in_place(release, dvc=False)
        assert read_patients(project / "data") == {"COVID/images/a.png": "1"}


def test_images_of_classes_in_another_folder_are_not_left_out_in_silence(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    tree = {"train/COVID/a.png": png(1), "train/Normal/b.png": png(2), "test/COVID/c.png": png(3)}
    source = write_tree(tmp_path / "source", tree)
    with (
        pytest.raises(DataError, match=r"are in train, and .* left out: test/COVID\. Give the folder to import"),
        staged(source, open_project(project, dvc=False), Limits()),
    ):
        pass
    with staged(source / "train", open_project(project, dvc=False), Limits()) as release:
        assert release.counts["covid"].images == 1


def test_images_beside_the_class_folders_are_counted(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    tree = {"set/COVID/a.png": png(1), "set/Normal/b.png": png(2), "set/c.png": png(3), "d.png": png(4)}
    tree |= {"set/other/e.png": png(5), "set/COVID.metadata.csv": b"FILE NAME,URL\n1,https://a\n"}
    with staged(write_tree(tmp_path / "source", tree), open_project(project, dvc=False), Limits()) as release:
        assert (release.layout.loose, release.layout.unknown) == (2, {"other": 1})
        assert "Left out: 2 images that lie in no folder of a class." in list(remarks(release))


def test_a_table_above_the_class_folders_is_read_from_where_it_lies(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    table = b"file,patient_id\nset/COVID/a.png,1\nset/Normal/b.png,2\n"
    files = {"patients.csv": table, "set/COVID/a.png": png(1), "set/Normal/b.png": png(2)}
    source = write_tree(tmp_path / "source", files)
    with staged(source, open_project(project, dvc=False), Limits()) as release:
        put_in_place(release, dvc=False)
    written = (project / "data/patients.csv").read_text()
    assert written == "file,patient_id\nCOVID/images/a.png,1\nNormal/images/b.png,2\n"
