import errno
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cxr.core.errors import OutputError
from cxr.core.files import (
    copy_file,
    discard,
    read_json,
    remove,
    require_room,
    sha256_of,
    whole_file,
    whole_folder,
    write_json,
    write_text,
)


def test_a_copy_onto_a_full_disk_names_the_target(tmp_path, monkeypatch):
    def full(source, target, **_):
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OutputError, match=f"cannot write {tmp_path}/b: No space left on device; free some space"):
        copy_file(tmp_path / "a", tmp_path / "b")


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "out.txt"
    write_text(path, "old")

    def fail():
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_as_a_whole_or_left_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "out"
    for content in ("old", "new"):
        with whole_folder(path) as folder:
            write_text(folder / content, content)
        assert [one.name for one in path.iterdir()] == [content]

    def fail(error):
        with whole_folder(path) as folder:
            write_text(folder / "half", "half")
            if error:
                raise error

    with pytest.raises(RuntimeError, match="stop"):
        fail(RuntimeError("stop"))
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda source, target: replace(source, refuse(source, target)))
    with pytest.raises(OutputError, match="out"):
        fail(None)
    assert [one.name for one in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


def refuse(source, target):
    """Return the target, but of the folder that is to be put in place."""
    if source.name == "new":
        raise OSError(errno.EACCES, "Permission denied")
    return target


def test_a_file_appears_with_the_permissions_of_any_new_file(tmp_path):
    write_text(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_json_keeps_key_order_and_ends_in_a_line_feed(tmp_path):
    path = tmp_path / "deep" / "x.json"
    write_json(path, {"b": 1, "a": "é"})
    assert path.read_bytes() == '{\n  "b": 1,\n  "a": "é"\n}\n'.encode()
    assert read_json(path) == {"b": 1, "a": "é"}


def test_nan_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_sha256_is_of_the_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_an_error_at_writing_carries_the_files_name_and_not_the_temporary_ones(tmp_path):
    with pytest.raises(OutputError) as error, whole_file(tmp_path / "a.csv") as temporary:
        raise OSError(errno.ENOSPC, "No space left on device", str(temporary))
    assert str(error.value) == (
        f"cannot write {tmp_path / 'a.csv'}: No space left on device; free some space, then run the same command again"
    )


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    said = rf"cannot read or write {tmp_path / 'b.csv'}: No such file"
    with pytest.raises(OutputError, match=said), whole_file(tmp_path / "a.csv"):
        (tmp_path / "b.csv").read_text()


def test_room_is_asked_for_before_a_file_is_written(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        require_room(tmp_path / "a.h5", 1000)
        with pytest.raises(OutputError, match=rf"cannot write {tmp_path / 'a.h5'}: File too large"):
            require_room(tmp_path / "a.h5", 1001)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_what_a_program_holds_for_a_moment_is_waited_for(tmp_path, monkeypatch):
    write_text(tmp_path / "a.csv", "old")
    held, real = [PermissionError(errno.EACCES, "held")] * 2, Path.replace
    monkeypatch.setattr("cxr.core.files.time.sleep", lambda _: None)

    def replaced(source, target):
        if held:
            raise held.pop()
        return real(source, target)

    monkeypatch.setattr(Path, "replace", replaced)
    write_text(tmp_path / "a.csv", "new")
    assert (tmp_path / "a.csv").read_text() == "new"
    assert held == []


def test_what_cannot_be_tidied_away_stays_and_is_no_error(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(Path, "unlink", refused)
    discard(tmp_path / "a")
    with pytest.raises(OutputError, match=r"cannot remove .*/a: Input/output error; see to the disk"):
        remove(tmp_path / "a")


NO_LOCKS = """
import errno, fcntl, os, sys
from pathlib import Path
def no_locks(*_):
    raise OSError(getattr(errno, sys.argv[3]), "No locks available")
fcntl.flock = no_locks
from cxr.core.files import alone
with alone(Path(sys.argv[1]), "busy"):
    if sys.argv[2] == "die":
        os.kill(os.getpid(), 9)
    from cxr.core.errors import OutputError
    try:
        with alone(Path(sys.argv[1]), "busy"):
            print("two at once")
    except OutputError as error:
        print(error)
"""


@pytest.mark.parametrize("number", ["ENOLCK", "ENOSYS"])  # filelock has a way of its own for the second
def test_where_there_are_no_locks_a_file_stands_for_one_unless_its_process_has_died(number, tmp_path):
    pytest.importorskip("fcntl", reason="only there a file system may have no locks")

    def holder(what):
        command = [sys.executable, "-c", NO_LOCKS, str(tmp_path / "lock"), what, number]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.stdout

    holder("die")
    assert (tmp_path / "locked").exists()
    assert holder("stay") == (
        f"busy; where none is at work, on this machine or another, remove {tmp_path / 'locked'}\n"
    )
    assert not (tmp_path / "locked").exists()
