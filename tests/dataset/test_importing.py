from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dataset.imports import run
from tests.dataset.releases import digest, png, release_files, write_tar, write_tree, write_zip

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
