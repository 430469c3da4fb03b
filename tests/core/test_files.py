import errno
import resource

import pytest

from cxr.core.errors import OutputError
from cxr.core.files import read_json, require_room, sha256_of, whole_file, write_json, write_text


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
