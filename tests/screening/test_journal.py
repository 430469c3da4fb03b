from pathlib import Path

import pytest

from cxr.errors import OutputError, ResumeError
from cxr.processor import instructions
from cxr.screening.journal import Journal, create_journal, read_header

RECORDS = [{"path": f"{number}.png", "stamp": [number], "cells": ["ok", "\u2028é", ""]} for number in range(5)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with create_journal(tmp_path / "r.journal", {"fingerprint": {"tool": "1"}}) as journal:
        journal.append(RECORDS[:2])
        journal.append(RECORDS[2:])
    return tmp_path / "r.journal"


def records(path: Path) -> list[object]:
    with Journal(path) as journal:
        return [record for _, record in journal.records()]


def test_what_was_appended_is_read_back_in_order_and_by_position(path: Path) -> None:
    with Journal(path) as journal:
        found = list(journal.records())
        assert [record for _, record in found] == RECORDS
        assert [journal.record_at(position) for position, _ in found] == RECORDS
    assert read_header(path) == {
        "format": "cxr-batch journal 2",
        "fingerprint": {"tool": "1"},
        "instructions": instructions(),
    }


def test_a_journal_cut_anywhere_gives_the_records_before_the_cut_and_goes_on(path: Path) -> None:
    whole = path.read_bytes()
    header = whole.index(b"\n") + 1
    for length in range(header, len(whole)):
        path.write_bytes(whole[:length])
        complete = whole[:length].count(b"\n") - 1
        with Journal(path) as journal:
            assert [record for _, record in journal.records()] == RECORDS[:complete]
            (position,) = journal.append([{"path": "new"}])
            assert journal.record_at(position) == {"path": "new"}
        assert records(path) == [*RECORDS[:complete], {"path": "new"}]


def test_a_garbled_line_is_as_if_it_were_not_there(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    third = [position for position, byte in enumerate(whole) if byte == ord("\n")][2]
    whole[third + 20] ^= 1
    path.write_bytes(whole)
    assert records(path) == RECORDS[:2] + RECORDS[3:]


def test_zeros_left_by_a_power_failure_are_skipped(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0" * 5000)
    assert records(path) == RECORDS


@pytest.mark.parametrize("content", [b"", b"path,status\n", b"deadbeef {}\n", b"\0" * 100])
def test_a_file_that_is_no_journal_is_refused_with_a_remedy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(ResumeError, match="--overwrite"):
        read_header(tmp_path / "j")


def test_there_is_no_header_where_there_is_no_file(tmp_path: Path) -> None:
    assert read_header(tmp_path / "absent") is None


def test_a_full_disk_is_told_and_what_was_written_before_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import cxr.screening.journal as module

    def full(file: object, data: bytes) -> None:
        file.write(data[:10])  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    with Journal(path) as journal:
        monkeypatch.setattr(module, "_write_all", full)
        with pytest.raises(OutputError, match="No space left on device; what was done so far is kept"):
            journal.append([{"path": "lost"}])
    assert records(path) == RECORDS


def test_a_folder_that_is_absent_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another folder"):
        create_journal(tmp_path / "file" / "j", {})
