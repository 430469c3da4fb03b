import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cxr.core.errors import DataError, ParamsError
from cxr.ingest.archive import Limits
from cxr.ingest.importer import (
    LEFTOVER,
    drop_remote,
    open_project,
    put_in_place,
    require_dvc,
    staged,
    with_expected_files,
)
from tests.dataset.releases import PARAMS, digest, png, release_files, write_tar, write_tree, write_zip
from tests.dicoms import save_dicom
from tests.ingest.imports import refused, run

Write = Callable[[Path, dict[str, bytes]], Path]


def gz(path: Path, files: dict[str, bytes]) -> Path:
    return write_tar(path, files, "w:gz")


@pytest.mark.parametrize("top", ["", "archive/COVID-19_Radiography_Dataset/"])
@pytest.mark.parametrize("write", [write_tree, write_zip, write_tar, gz])
def test_a_release_arrives_alike_from_a_folder_a_zip_and_a_tar_at_any_depth(
    tmp_path: Path, project: Path, write: Write, top: str
) -> None:
    junk = {"__MACOSX/COVID/._a.png": b"1", ".DS_Store": b"2", f"{top}COVID/Thumbs.db": b"3", f"{top}README.md": b"4"}
    release = run(write(tmp_path / "source", release_files(top) | junk), project)
    assert digest(project / "data") == digest(write_tree(tmp_path / "expected", release_files()))
    assert release.expected_files == 5
    assert release.layout.ignored == 0


def test_flat_class_folders_get_images_and_keep_their_sub_folders(tmp_path: Path, project: Path) -> None:
    files = {"COVID/a.png": png(1), "COVID/site/b.JPG": png(2), "normal/masks/c.png": png(3), "normal/c.png": png(4)}
    run(write_tree(tmp_path / "source", files), project)
    expected = {"COVID/images/a.png", "COVID/images/site/b.JPG", "normal/masks/c.png", "normal/images/c.png"}
    assert set(digest(project / "data")) == expected


def test_what_is_no_image_and_no_class_stays_behind_and_is_counted(tmp_path: Path, project: Path) -> None:
    extra = {"COVID/notes.txt": b"1", "MERS/images/a.png": png(1), "MERS/b.png": png(2), "empty/x.txt": b""}
    release = run(write_tree(tmp_path / "source", release_files() | extra), project)
    assert set(digest(project / "data")) == set(release_files())
    assert (release.layout.unknown, release.layout.ignored) == ({"MERS": 2, "empty": 0}, 1)


def test_a_folder_as_source_is_copied_not_moved(tmp_path: Path, project: Path) -> None:
    source = write_tree(tmp_path / "source", release_files())
    run(source, project)
    assert digest(source) == digest(project / "data")


def test_data_can_be_imported_onto_itself(project: Path) -> None:
    write_tree(project / "data", release_files())
    run(project / "data", project)
    assert set(digest(project / "data")) == set(release_files()) | {"COVID/images/old.png"}


def test_no_temporary_folder_is_left(tmp_path: Path, project: Path) -> None:
    run(write_zip(tmp_path / "a.zip", release_files()), project)
    assert {path.name for path in project.iterdir()} == {"data", "data.dvc", "params.yaml"}


def test_a_project_without_data_gets_it(tmp_path: Path, project: Path) -> None:
    (project / "data/COVID/images/old.png").unlink()
    for folder in ("data/COVID/images", "data/COVID", "data"):
        (project / folder).rmdir()
    run(write_zip(tmp_path / "a.zip", release_files()), project)
    assert set(digest(project / "data")) == set(release_files())


def test_a_missing_class_names_what_is_there_and_the_remedy(tmp_path: Path, project: Path) -> None:
    files = {f"top/{name}": b"" for name in ("Covid/a.png", "Norm/b.png")}
    text = refused(write_zip(tmp_path / "a.zip", files), project)
    assert "No folder for the class normal: the folder top has Covid, Norm; expected" in text
    assert text.endswith("Rename the folder, or edit 'classes' in params.yaml")


def test_an_empty_class_folder_is_named(tmp_path: Path, project: Path) -> None:
    files = {"x/COVID/images/": b"", "x/Normal/a.png": png(1)}
    assert "No image lies in the class folder x/COVID;" in refused(write_zip(tmp_path / "a.zip", files), project)


def test_a_zip_in_a_folder_is_not_searched_and_the_error_says_so(tmp_path: Path, project: Path) -> None:
    source = tmp_path / "download"
    source.mkdir()
    write_zip(source / "archive.zip", release_files())
    assert refused(source, project).endswith("Archives inside a folder are not searched: import archive.zip itself")


def test_two_releases_in_one_folder_are_ambiguous(tmp_path: Path, project: Path) -> None:
    source = write_tree(tmp_path / "source", release_files("train/") | release_files("test/"))
    assert "in more than one folder: test, train. Give the one" in refused(source, project)


def test_two_folders_of_one_class_are_refused(tmp_path: Path, project: Path) -> None:
    source = write_tree(tmp_path / "source", release_files() | {"co vid/a.png": b"", "covid/a.png": b""})
    assert "COVID and covid are both the class 'covid'" in refused(source, project)


def test_two_files_for_one_place_are_refused(tmp_path: Path, project: Path) -> None:
    source = write_tree(tmp_path / "source", release_files() | {"COVID/COVID-1.png": png(1)})
    assert "would both become data/COVID/images/COVID-1.png" in refused(source, project)


def test_unreadable_images_are_counted_and_the_first_five_named(tmp_path: Path, project: Path) -> None:
    bad = {f"Normal/images/bad-{number}.png": png(number)[:60] for number in range(6)}
    text = refused(write_zip(tmp_path / "a.zip", release_files() | bad | {"Normal/images/bad-0.png": b""}), project)
    assert text.startswith("6 of 12 images cannot be used: ")
    assert "Normal/images/bad-0.png (empty_file" in text
    assert "Normal/images/bad-4.png (truncated" in text
    assert "bad-5" not in text
    assert "and 1 more. Nothing was imported" in text


def test_objects_that_their_headers_call_no_chest_are_counted_apart(tmp_path: Path, project: Path) -> None:
    pixels = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    source = write_tree(tmp_path / "source", release_files() | {"Normal/images/bad.png": b""})
    for name, elements in {
        "ct.dcm": {"Modality": "CT"},
        "hand.dcm": {"Modality": "DX", "BodyPartExamined": "HAND"},
        "chest.dcm": {"Modality": "DX", "BodyPartExamined": "CHEST"},
    }.items():
        save_dicom(source / "Normal/images" / name, pixels, **elements)
    text = refused(source, project)
    assert text.startswith(
        "3 of 10 images cannot be used, 2 of them by their DICOM headers no radiographs of the chest: "
    )
    assert "Normal/images/ct.dcm (other_modality: Modality (0008,0060) is CT; expected CR, DX, DR, RG)" in text
    assert "Normal/images/hand.dcm (other_body_part: BodyPartExamined (0018,0015) says HAND;" in text
    assert "chest.dcm" not in text


@pytest.mark.parametrize("link", ["COVID/images/link.png", "Lung_Opacity/link"])
def test_a_link_in_a_folder_is_refused_by_name(tmp_path: Path, project: Path, link: str) -> None:
    source = write_tree(tmp_path / "source", release_files())
    (source / link).symlink_to("/etc")
    assert f"{link} is a symbolic link, which is not followed" in refused(source, project)


def test_a_pipe_in_a_folder_is_refused_rather_than_read_for_ever(tmp_path: Path, project: Path) -> None:
    source = write_tree(tmp_path / "source", release_files())
    os.mkfifo(source / "COVID/images/pipe.png")
    assert "COVID/images/pipe.png is neither a file nor a folder" in refused(source, project)


def test_a_source_that_is_not_there_is_named(tmp_path: Path, project: Path) -> None:
    assert "nowhere.zip does not exist" in refused(tmp_path / "nowhere.zip", project)


def test_a_full_disk_is_a_sentence_and_changes_nothing(tmp_path: Path, project: Path, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cxr.core.files.shutil.copyfile", full)
    text = refused(write_tree(tmp_path / "source", release_files()), project)
    assert text == (
        f"cannot write {project / 'data'}: No space left on device; what was there before is as it was: free some "
        "space, then run the same command again"
    )


@pytest.mark.parametrize("place", [1, 2, 4])
def test_no_sentence_names_the_folder_that_an_import_works_in(
    tmp_path: Path, project: Path, monkeypatch, place: int
) -> None:
    opened, made = Path.open, []

    def full(path: Path, *more: object, **options: object) -> object:
        if LEFTOVER in str(path) and "x" in str(more):
            made.append(path)
            if len(made) == place:
                raise OSError(28, "No space left on device", str(path))
        return opened(path, *more, **options)

    source = write_zip(tmp_path / "release.zip", release_files())
    monkeypatch.setattr(Path, "open", full)
    text = refused(source, project)
    assert f"cannot write {project / 'data'}: No space left on device" in text
    assert LEFTOVER not in text


def test_what_fails_when_the_release_has_been_read_is_not_said_of_it(tmp_path: Path, project: Path) -> None:
    source = write_tree(tmp_path / "source", release_files())
    before = digest(project)
    with pytest.raises(OSError, match="of a console"), staged(source, open_project(project, dvc=False), Limits()):
        raise OSError(28, "of a console")
    assert digest(project) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, DataError])
def test_everything_is_put_back_when_dvc_fails_or_ctrl_c_comes(
    tmp_path: Path, project: Path, monkeypatch, error: type[BaseException]
) -> None:
    def fail(root: Path) -> None:
        (root / "data.dvc").write_text("half written")
        (root / ".gitignore").write_text("/data\n")
        assert (root / "data/Normal").is_dir(), "the new data must be in its place when DVC runs"
        raise error("no")

    monkeypatch.setattr("cxr.ingest.importer.dvc_add", fail)
    before = digest(project)
    with (
        pytest.raises(error),
        staged(write_zip(tmp_path / "a.zip", release_files()), open_project(project, dvc=False), Limits()) as release,
    ):
        put_in_place(release, dvc=True)
    assert digest(project) == before


def test_only_the_number_changes_and_comments_keep_their_column() -> None:
    changed = with_expected_files(PARAMS, 4533)
    assert changed == PARAMS.replace("expected_files: 1        #", "expected_files: 4533     #")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "prepare:\r\n    expected_files: 12\r\n    x: null\r\n",
            "prepare:\r\n    expected_files: 7\r\n    x: null\r\n",
        ),
        ("prepare: {expected_files: 1, x: [a]}", "prepare: {expected_files: 7, x: [a]}"),
        ("expected_files: 3\nprepare:\n  expected_files: 1", "expected_files: 3\nprepare:\n  expected_files: 7"),
        ("prepare:\n  expected_files: 123456 # c", "prepare:\n  expected_files: 7      # c"),
        ("prepare:\n  expected_files: 1 # c", "prepare:\n  expected_files: 7 # c"),
    ],
)
def test_any_way_of_writing_the_section_is_kept(before: str, after: str) -> None:
    assert with_expected_files(before, 7) == after


@pytest.mark.parametrize("text", ["prepare:\n  discard: []", "seed: 1", "prepare:\n  expected_files: many"])
def test_params_without_the_number_are_refused(text: str) -> None:
    with pytest.raises(ParamsError, match=r"no number prepare\.expected_files; add"):
        with_expected_files(text, 7)


def test_a_number_behind_an_anchor_is_refused_rather_than_garbled() -> None:
    with pytest.raises(ParamsError, match="is not a plain value"):
        with_expected_files("prepare:\n  expected_files: &n 1\n", 7)


def test_the_remote_goes_and_the_rest_of_a_dvc_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "data.dvc"
    path.write_text("# mine\nouts:\n- md5: '12.dir'\n  remote: sample\n  path: data   # here\nfrozen: true\n")
    drop_remote(path)
    assert path.read_text() == "# mine\nouts:\n- md5: '12.dir'\n  path: data   # here\nfrozen: true\n"


def test_a_folder_in_no_dvc_project_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not in a DVC project: run 'git init && dvc init' there, or give --no-dvc"):
        require_dvc(tmp_path)
    (tmp_path / ".dvc").mkdir()
    require_dvc(tmp_path)


def test_an_absent_dvc_is_refused_before_any_work(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("cxr.ingest.importer.importlib.util.find_spec", lambda _: None)
    with pytest.raises(DataError, match="DVC is not installed here"):
        require_dvc(tmp_path)
