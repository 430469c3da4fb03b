import os
from pathlib import Path

import pytest

from cxr.screening.discover import discover
from tests.screening.drawings import save


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_images_are_found_in_all_sub_folders_and_sorted_by_posix_path(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a/z.dcm", "a/b/c.tif", "A.bmp")
    assert discover(tmp_path).images == ("A.bmp", "a/b/c.tif", "a/z.dcm", "b.png")


def test_a_suffix_in_any_case_is_an_images(tmp_path: Path) -> None:
    touch(tmp_path, "one.PNG", "two.JpEg", "three.DiCom")
    assert discover(tmp_path).images == ("one.PNG", "three.DiCom", "two.JpEg")


def test_equal_base_names_in_two_folders_are_two_files(tmp_path: Path) -> None:
    touch(tmp_path, "left/1.png", "right/1.png")
    assert discover(tmp_path).images == ("left/1.png", "right/1.png")


def test_other_files_are_counted_not_taken(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "notes.txt", "sub/table.xlsx", "png")
    found = discover(tmp_path)
    assert (found.images, found.others) == (("a.png",), 3)


def test_hidden_files_and_folders_are_counted_not_taken(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", ".b.png", ".cache/c.png")
    found = discover(tmp_path)
    assert (found.images, found.hidden) == (("a.png",), 2)


def test_a_folder_whose_own_name_is_hidden_is_searched(tmp_path: Path) -> None:
    touch(tmp_path, ".scans/a.png")
    assert discover(tmp_path / ".scans").images == ("a.png",)


def test_a_pattern_leaves_out_each_folder_of_that_name(tmp_path: Path) -> None:
    touch(tmp_path, "covid/images/1.png", "covid/masks/1.png", "normal/masks/deep/2.png", "masks.png")
    found = discover(tmp_path, ["masks"])
    assert found.images == ("covid/images/1.png", "masks.png")
    assert found.excluded == 2


def test_a_pattern_leaves_out_matching_paths_at_any_depth(tmp_path: Path) -> None:
    touch(tmp_path, "1_mask.png", "a/2_mask.png", "a/2.png")
    found = discover(tmp_path, ["*_mask.png"])
    assert (found.images, found.excluded) == (("a/2.png",), 2)


def test_a_pattern_of_a_relative_path_leaves_out_that_folder_alone(tmp_path: Path) -> None:
    touch(tmp_path, "a/b/1.png", "c/b/2.png")
    assert discover(tmp_path, ["a/b"]).images == ("c/b/2.png",)


def test_a_link_to_a_file_is_a_file_and_a_link_to_a_folder_is_not_entered(tmp_path: Path) -> None:
    original = save(tmp_path / "elsewhere", "1.png")
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "linked.png").symlink_to(original)
    (folder / "linked").symlink_to(original.parent)
    found = discover(folder)
    assert (found.images, found.linked_folders) == (("linked.png",), 1)


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path, "sub/a.png")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    assert discover(tmp_path).images == ("self.png", "sub/a.png")


def test_a_broken_link_is_a_file_to_report(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert discover(tmp_path).images == ("gone.png",)


def test_a_folder_named_like_an_image_is_searched(tmp_path: Path) -> None:
    touch(tmp_path, "series.png/1.png")
    assert discover(tmp_path).images == ("series.png/1.png",)


def test_a_name_that_is_not_utf8_is_found(tmp_path: Path) -> None:
    name = os.fsdecode(b"scan\xff.png")
    touch(tmp_path, name)
    assert discover(tmp_path).images == (name,)


def test_a_folder_that_cannot_be_listed_is_named_and_the_rest_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.png", "locked/b.png")
    list_folder = os.scandir

    def scandir(path: str) -> object:
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = discover(tmp_path)
    assert found.images == ("a.png",)
    assert found.unreadable == (f"{tmp_path / 'locked'}: Permission denied",)
