import os
from pathlib import Path

import pytest

from cxr.dataset.archive import Limits
from cxr.dataset.importing import put_in_place, staged
from cxr.dataset.project import open_project
from cxr.errors import DataError
from tests.dataset.imports import refused
from tests.dataset.releases import digest, png, release_files, write_tree, write_zip


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
    assert text.startswith("6 of 12 images cannot be read: ")
    assert "Normal/images/bad-0.png (empty_file" in text
    assert "Normal/images/bad-4.png (truncated" in text
    assert "bad-5" not in text
    assert "and 1 more. Nothing was imported" in text


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

    monkeypatch.setattr("cxr.dataset.importing.shutil.copyfile", full)
    text = refused(write_tree(tmp_path / "source", release_files()), project)
    assert "data/ is as it was: [Errno 28] No space left on device" in text


@pytest.mark.parametrize("error", [KeyboardInterrupt, DataError])
def test_everything_is_put_back_when_dvc_fails_or_ctrl_c_comes(
    tmp_path: Path, project: Path, monkeypatch, error: type[BaseException]
) -> None:
    def fail(root: Path) -> None:
        (root / "data.dvc").write_text("half written")
        (root / ".gitignore").write_text("/data\n")
        assert (root / "data/Normal").is_dir(), "the new data must be in its place when DVC runs"
        raise error("no")

    monkeypatch.setattr("cxr.dataset.importing.dvc_add", fail)
    before = digest(project)
    with (
        pytest.raises(error),
        staged(write_zip(tmp_path / "a.zip", release_files()), open_project(project, dvc=False), Limits()) as release,
    ):
        put_in_place(release, dvc=True)
    assert digest(project) == before
