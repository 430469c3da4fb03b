import csv
import io
import os
import socket
from pathlib import Path

import pytest

from cxr.core.errors import DataError, UsageError
from cxr.screening.candidates import Found, Query, common_root
from cxr.screening.discovery import discover, read_names
from cxr.screening.paths import Naming, PathStyle, escape
from tests.imports import ROOT
from tests.screening.drawings import save

LISTS = ROOT / "tests" / "inputs" / "lists"


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def find(folder: Path, *inputs: Path, **query: object) -> Found:
    return discover(Query(inputs or [folder], **query), Naming(folder))  # type: ignore[arg-type]


def cells(found: Found) -> list[str]:
    return [candidate.cell for candidate in found.candidates]


def test_every_file_is_found_in_all_sub_folders_and_sorted_by_its_cell(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a/z", "a/b/c.tif", "A.bmp", "notes.txt", "=1.png")
    assert cells(find(tmp_path)) == ["A.bmp", r"\x3d1.png", "a/b/c.tif", "a/z", "b.png", "notes.txt"]


def test_sub_folders_are_named_where_they_are_not_searched(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "sub/b.png")
    found = find(tmp_path, recursive=False)
    assert cells(found) == ["a.png"]
    assert found.folders == [("sub", "not_recursive")]


def test_several_inputs_are_named_below_the_folder_that_holds_all(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.png", "two/a.png", "two/deep/b.png", "three.png")
    inputs = [tmp_path / "one", tmp_path / "two", tmp_path / "three.png"]
    assert common_root(inputs) == tmp_path
    assert cells(find(tmp_path, *inputs)) == ["one/a.png", "three.png", "two/a.png", "two/deep/b.png"]
    assert common_root([tmp_path / "one" / "a.png"]) == tmp_path / "one"
    assert common_root([tmp_path / "two" / "deep", tmp_path / "two" / "a.png"]) == tmp_path / "two"


def test_inputs_that_overlap_give_each_file_once(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.png", "a/b/y.png", "a/b/.z")
    found = find(tmp_path, tmp_path / "a" / "b", tmp_path / "a", tmp_path / "a" / "x.png", tmp_path / "a")
    assert cells(found) == ["a/b/y.png", "a/x.png"]
    assert found.hidden == 1
    assert [candidate.named for candidate in found.candidates] == [False, True]


def test_an_input_outside_the_root_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.png", "b/y.png")
    with pytest.raises(UsageError, match="--root"):
        discover(Query([tmp_path / "b"]), Naming(tmp_path / "a"))


def test_a_listed_file_that_is_absent_is_a_candidate(tmp_path: Path) -> None:
    found = find(tmp_path, listed=[tmp_path / "gone.png"])
    assert cells(found) == ["gone.png"]
    assert found.candidates[0].named


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"a.png\nb c.png\r\n\nd\n", ["a.png", "b c.png", "d"]),
        (b"a\nb.png\0c\r\0", ["a\nb.png", "c\r"]),
        (b".\0./a\0./b\0", [".", "./a", "./b"]),
        (b"a\0b\0c\0", ["a", "b", "c"]),
        (b"caf\xff.png\0", ["caf\udcff.png"]),
        (b"a.png\rb c.png\r", ["a.png", "b c.png"]),
        (b"a.png\r\r\nb c.png\n\r\n", ["a.png", "b c.png"]),
        (b"\xef\xbb\xbfa.png\r\nb c.png\r\n", ["a.png", "b c.png"]),
        ("a.png\r\nü.png\r\n".encode("utf-16"), ["a.png", "ü.png"]),
        ("a.png\r\nü.png\r\n".encode("utf-16-le"), ["a.png", "ü.png"]),
        ("a.png\r\nü.png".encode("utf-16-be"), ["a.png", "ü.png"]),
        ("a.png".encode("utf-16-le"), ["a.png"]),
        ("\ufeff影像.png\r\n".encode("utf-16-be"), ["影像.png"]),
        (b"a.png\n\n   \n\t\nb c.png\n", ["a.png", "b c.png"]),
        (b"# of ward 3\na.png\n#7.png\n", ["a.png", "#7.png"]),
        (b'"a.png"\n"b c.png"\n\'d.png\'\n', ["a.png", "b c.png", "d.png"]),
        (b'"say ""hi"".png"\n', ['say "hi".png']),
        (b"s3://bucket/a b.png\nS3://bucket/c\\d.png\n", ["s3://bucket/a b.png", "S3://bucket/c\\d.png"]),
        (b"", []),
        (b"\xef\xbb\xbf", []),
        (b"\r\n\r\n", []),
        (b"sep=;\r\na.png;;\r\n;;\r\n", ["a.png"]),
        ("\ufeff\ufeffa.png\r\n\ufeffb.png\r\n\u202ac d.png\r\n\x1a".encode(), ["a.png", "b.png", "c d.png"]),
    ],
)
def test_a_list_has_one_path_a_line_or_separated_by_nul(data: bytes, names: list[str]) -> None:
    assert list(read_names(data, "list.txt")) == names


def test_what_other_programs_put_around_a_name_goes_where_no_file_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "sub/a.png", "b.png", 'c;.png"', "#note")
    listed = b'.\\sub\\a.png\n b.png  \n"b.png";;\n\'c;.png"\nc;.png"\n#note\ngone\\d.png\n'
    assert list(read_names(listed, "l")) == [
        *("./sub/a.png", "b.png", "b.png", "'c;.png\"", 'c;.png"', "#note", "gone\\d.png")
    ]


@pytest.mark.parametrize(
    ("listed", "names"),
    [
        ("a.png;covid\nb c.png;normal\n", ["a.png", "b c.png"]),
        ("a.png,covid\nb c.png,normal\n", ["a.png", "b c.png"]),
        ("a.png\tcovid\nb c.png\tnormal\n", ["a.png", "b c.png"]),
        ('"a.png";"covid"\n"b c.png";"a; b"\n', ["a.png", "b c.png"]),
        ("File Name;label\r\nsub\\x.png;covid\r\n", ["sub/x.png"]),
        ("sep=;\npath;label\na.png;covid\n", ["a.png"]),
        ("path\na.png\n", ["a.png"]),
        ("a.png;b c.png\n", ["a.png", "b c.png"]),
        ("gone.png;covid\n", ["gone.png;covid"]),
        ("gone.png;a.png\n", ["gone.png;a.png"]),
        ("a.png\npath\n", ["a.png", "path"]),
        ("path,status,reason,prediction\ngone.png,ok,,normal\na.png,ok,,covid\n", ["gone.png", "a.png"]),
        ("path;label\ngone.png;covid\n", ["gone.png"]),
        ("path;label\nnowhere.png;covid\n", ["nowhere.png"]),
        ("patient,File Name,site\n1,gone.png,A\n2,a.png,B\n", ["gone.png", "a.png"]),
        ("path,label\n#note,x\n\n,\n#7.png,y\n", ["#7.png"]),
    ],
)
def test_of_a_table_the_first_column_is_the_list(
    listed: str, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "a.png", "b c.png", "sub/x.png", "covid/y.png")
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "at all.png")
    assert list(read_names(listed.encode(), "l")) == names


@pytest.mark.parametrize("separator", [",", ";"])
def test_names_of_a_table_of_cxr_batch_are_turned_back_and_start_from_the_root(separator: str, tmp_path: Path) -> None:
    names = [
        *("=1+1.png", os.fsdecode(b"f\xfcr.png"), "new\nline.png", "C:\\x.png", "ward 2/lateral, second.png"),
        *(' a "b".png', "sub\\new.png", "#note"),
    ]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow(["path", "status", "reason", "prediction", "decision"])
    writer.writerows([escape(name), "ok", "", "normal", ""] for name in names)
    assert list(read_names(text.getvalue().encode(), "l")) == names
    assert list(read_names(text.getvalue().encode(), "l", tmp_path)) == [str(tmp_path / name) for name in names]


def test_a_file_that_is_called_as_a_header_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "image")
    assert list(read_names(b"image\n", "l")) == ["image"]


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "d/" * 3000 + "a.png"])
def test_a_name_that_the_system_refuses_costs_one_row(name: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    names = [tmp_path / "a.png", tmp_path / name]
    assert cells(discover(Query([], names), Naming(tmp_path))) == ["a.png", name]
    assert common_root(names[1:]) == names[1].parent


def test_a_name_of_other_bytes_is_taken_where_there_is_such_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"list\.txt, line 2, is not UTF-8 but perhaps Windows-1252: 'ü\.png'; save"):
        list(read_names(b"a.png\n\xfc.png\n", "list.txt"))
    touch(tmp_path, os.fsdecode(b"\xfc.png"))
    assert list(read_names(b"a.png\n\xfc.png\n", "list.txt")) == ["a.png", "\udcfc.png"]


@pytest.mark.parametrize("file", sorted(path.name for path in LISTS.iterdir()))
def test_lists_of_windows_name_the_files_that_are_there(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "a.png", "b c.png", "ü.png")
    names = list(read_names((LISTS / file).read_bytes(), file))
    assert names
    assert {os.path.normpath(name) for name in names} <= {"a.png", "b c.png", "ü.png"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PK\3\4", "is an Excel workbook or another zip file, and no text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", r"is an Excel workbook of the old kind \(\.xls\) or with a password"),
        (b"\xef\xbb\xbfa.png\n\xfc.png\n", r"line 2, is not UTF-8"),
        ("a.png\r\n".encode("utf-16")[:-1], "is UTF-16, and damaged or not whole"),
        (b"\xef\xbb\xbfa.png\nb.png\0", r"list\.txt, line 2, has a byte of value zero, as no text has; copy it again"),
        ("a.png\0".encode("utf-16"), r"list\.txt, line 1, has a byte of value zero"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", r"list\.txt is a picture \(PNG\), and no list; give it without --files-from"),
        (b"a.png\n" + b"x" * 40_000, r"list\.txt, line 2, has 40,000 bytes; expected the name of one file a line"),
    ],
)
def test_what_is_no_list_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        list(read_names(data, "list.txt"))


def test_equal_base_names_in_two_folders_are_two_files(tmp_path: Path) -> None:
    touch(tmp_path, "left/1.png", "right/1.png")
    assert cells(find(tmp_path)) == ["left/1.png", "right/1.png"]


def test_hidden_files_are_counted_and_hidden_folders_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", ".b.png", ".cache/c.png")
    found = find(tmp_path)
    assert (cells(found), found.hidden, found.folders) == (["a.png"], 1, [(".cache", "hidden")])


def test_a_folder_whose_own_name_is_hidden_is_searched(tmp_path: Path) -> None:
    touch(tmp_path, ".scans/a.png")
    assert cells(find(tmp_path / ".scans")) == ["a.png"]


def test_a_pattern_leaves_out_each_file_and_folder_of_that_name(tmp_path: Path) -> None:
    touch(tmp_path, "covid/images/1.png", "covid/masks/1.png", "normal/masks/deep/2.png", "masks.png", "a/Thumbs.db")
    found = find(tmp_path, exclude=["masks", "Thumbs.db"])
    assert cells(found) == ["covid/images/1.png", "masks.png"]
    assert (found.excluded, found.folders) == (1, [("covid/masks", "excluded"), ("normal/masks", "excluded")])


def test_a_pattern_of_a_relative_path_leaves_out_that_folder_alone(tmp_path: Path) -> None:
    touch(tmp_path, "a/b/1.png", "c/b/2.png")
    assert cells(find(tmp_path, exclude=["a/b"])) == ["c/b/2.png"]


def test_with_include_only_files_that_match_by_path_or_name_are_taken(tmp_path: Path) -> None:
    touch(tmp_path, "1.dcm", "a/2.dcm", "a/3.png", "b/4.png")
    found = find(tmp_path, include=["*.dcm", "b/*"], exclude=["1*"])
    assert (cells(found), found.excluded) == (["a/2.dcm", "b/4.png"], 2)


def test_a_link_to_a_file_is_a_file_and_a_link_to_a_folder_is_not_entered(tmp_path: Path) -> None:
    original = save(tmp_path / "elsewhere", "1.png")
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "linked.png").symlink_to(original)
    (folder / "linked").symlink_to(original.parent)
    found = find(folder)
    assert (cells(found), found.folders) == (["linked.png"], [("linked", "link")])


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path, "sub/a.png")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    assert cells(find(tmp_path)) == ["self.png", "sub/a.png"]


def test_a_broken_link_is_a_file_to_report(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert cells(find(tmp_path)) == ["gone.png"]


def test_pipes_and_sockets_are_named_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket may not be long
    os.mkfifo("pipe.png")
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket.png")
    touch(tmp_path, "a.png")
    found = find(tmp_path)
    server.close()
    assert (cells(found), found.special) == (["a.png"], ["pipe.png", "socket.png"])


def test_a_name_that_is_not_utf8_is_found(tmp_path: Path) -> None:
    touch(tmp_path, os.fsdecode(b"scan\xff.png"))
    (candidate,) = find(tmp_path).candidates
    assert (candidate.cell, os.fsencode(candidate.relative)) == (r"scan\xff.png", b"scan\xff.png")


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
    found = find(tmp_path)
    assert (cells(found), found.folders) == (["a.png"], [("locked", "unreadable")])


def test_what_the_run_itself_writes_is_no_candidate_under_any_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "results.csv", "sub/results.csv")
    (tmp_path / "link").symlink_to(tmp_path)
    own = frozenset({str(tmp_path / "results.csv")})
    assert cells(find(tmp_path, own=own)) == ["a.png", "sub/results.csv"]
    through_link = discover(Query([tmp_path / "link"], own=own), Naming(tmp_path / "link"))
    assert cells(through_link) == ["a.png", "sub/results.csv"]


def test_absolute_names_start_at_the_root_of_the_file_system(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    (candidate,) = discover(Query([tmp_path]), Naming(tmp_path, PathStyle.ABSOLUTE)).candidates
    assert (candidate.cell, candidate.relative) == (f"{tmp_path}/a.png", "a.png")


def test_hashed_names_depend_on_key_and_relative_path_alone(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.png", "two/a.png")

    def name(root: str, key: bytes) -> str:
        naming = Naming(tmp_path / root, PathStyle.HASHED, key)
        return discover(Query([tmp_path / root]), naming).candidates[0].cell

    assert name("one", b"k" * 16) == name("two", b"k" * 16)
    assert name("one", b"k" * 16) != name("one", b"l" * 16)
    assert len(name("one", b"k" * 16)) == 32
