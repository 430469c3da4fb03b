"""Files sorted by decision: what lies where, what happens to names, and that nothing is lost or replaced."""

import csv
import errno
import os
import re
from pathlib import Path

import pytest

from cxr.core.errors import OutputError
from cxr.core.files import sha256_of
from cxr.screening.discovery import Shard
from cxr.screening.sorting import Sorted, sort_files
from cxr.screening.tables import read_table
from tests.screening.drawings import save
from tests.screening.fakes import deciding_model
from tests.screening.works import run_in, work_on

LONG = f"{'x' * 250}.png"


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Films of three answers, equal names in two folders, names of any kind, an empty file."""
    folder = tmp_path / "scans"
    save(folder, "a/left.png", (255, 0, 0))
    save(folder, "b/LEFT.png", (250, 0, 0))
    save(folder, "a/normal.png", (0, 255, 0))
    save(folder, "=1\n+1 ü.png", (255, 10, 0))
    (folder / os.fsdecode(b"\xff.png")).write_bytes((folder / "a/left.png").read_bytes())
    save(folder, LONG, (240, 0, 0))
    save(folder, f"b/{LONG}", (230, 0, 0))
    (folder / "empty.png").touch()
    return folder


def put(scans: Path, tmp_path: Path, *, link: bool = False, **more: object) -> tuple[Sorted, Path]:
    tmp_path.mkdir(exist_ok=True)
    work = work_on(scans, [deciding_model()], **more)  # type: ignore[arg-type]
    files, *_ = run_in(tmp_path / "r.csv", work)
    return sort_files(tmp_path / "out", work, files, link=link), tmp_path / "out"


def listed(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("link", [False, True])
def test_every_file_with_a_row_lies_once_in_the_folder_of_its_decision(link: bool, scans: Path, tmp_path: Path) -> None:
    found, out = put(scans, tmp_path, link=link)
    rows = {row["path"]: row for row in listed(tmp_path / "r.csv")}
    assert found.counts.total() == len(rows) == 8
    assert (found.there, found.older, found.left) == (0, (), {})
    lines = listed(found.listed)
    for line in lines:
        row = rows[line["path"]]
        assert line["file"].split("/")[0] == (row["decision"] or row["status"])
    assert {path.is_symlink() for path in out.glob("*/*")} == {link}
    assert sorted(map(sha256_of, out.glob("*/*"))) == sorted(row["sha256"] for row in rows.values())
    assert (out / "error" / "empty.png").exists()


def test_equal_names_get_digits_of_their_path_and_others_keep_theirs(scans: Path, tmp_path: Path) -> None:
    found, out = put(scans, tmp_path)
    names = {path.name for path in out.glob("*/*")}
    assert found.renamed == 4
    assert {"normal.png", "=1\n+1 ü.png", os.fsdecode(b"\xff.png"), "empty.png"} < names
    assert not {"left.png", "LEFT.png", LONG} & names
    assert all(len(os.fsencode(name)) <= 255 for name in names)
    assert not any(line["file"].startswith(("=", "+", "-", "@")) for line in listed(found.listed))


def test_a_long_name_is_cut_between_characters(tmp_path: Path) -> None:
    save(tmp_path / "scans", f"x{'胸' * 82}.png", (255, 0, 0))
    _, out = put(tmp_path / "scans", tmp_path / "r")
    (path,) = out.glob("*/*.png")
    assert re.fullmatch("x胸{75}-[0-9a-f]{8}.png", path.name)


def test_the_same_call_goes_on_and_ends_with_the_same_folder(scans: Path, tmp_path: Path) -> None:
    first, out = put(scans, tmp_path)
    whole = content(out)
    next(out.glob("*/normal.png")).unlink()
    first.listed.unlink()
    again, _ = put(scans, tmp_path)
    assert (again.there, again.counts) == (7, first.counts)
    assert content(out) == whole


def test_what_is_there_is_never_replaced(scans: Path, tmp_path: Path) -> None:
    first, out = put(scans, tmp_path)
    target = next(out.glob("*/normal.png"))
    target.write_bytes(b"of somebody else")
    found, _ = put(scans, tmp_path)
    assert target.read_bytes() == b"of somebody else"
    older = target.relative_to(out).as_posix()
    assert (found.renamed, found.older) == (first.renamed + 1, (older,))
    (named,) = (row for row in read_table(found.listed) if not row["path"])
    assert (named["file"], named["because"]) == (older, "this run did not put it there")
    for path in out.glob("*/normal-*.png"):
        path.write_bytes(b"of somebody else too")
    found, _ = put(scans, tmp_path)
    assert found.left == {f"{target.parent.name} has another file of its name": 1}


def test_a_file_that_has_changed_or_gone_is_left_and_listed(scans: Path, tmp_path: Path) -> None:
    work = work_on(scans, [deciding_model()])
    files, *_ = run_in(tmp_path / "r.csv", work)
    (scans / "a/normal.png").unlink()
    save(scans, "a/left.png", (0, 0, 255))
    found = sort_files(tmp_path / "out", work, files, link=False)
    assert found.left == {
        "it cannot be read: No such file or directory": 1,
        "it has changed since it was screened": 1,
    }
    assert {line["path"]: line["file"] for line in listed(found.listed) if line["because"]} == {
        "a/left.png": "",
        "a/normal.png": "",
    }


def test_a_full_disk_is_said_and_loses_nothing(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if "normal" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"cannot write .*normal.png: No space left on device; free some space"):
        put(scans, tmp_path)
    monkeypatch.undo()
    assert not list((tmp_path / "out").glob("*/.*"))
    found, _ = put(scans, tmp_path)
    assert found.counts.total() == 8


def test_shards_share_a_folder_and_have_a_list_each(scans: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        found, out = put(scans, tmp_path / str(number), shard=Shard(number, 2))
        assert found.listed.name == f"sorted-{number}-of-2.csv"
        assert found.older == ()
        assert len(list(out.glob("*/*"))) == found.counts.total()
