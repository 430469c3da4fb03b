from pathlib import Path

import pytest

from cxr.core.errors import OutputError, ResumeError
from cxr.core.process import instructions
from cxr.screening.journal import (
    HEADER_FILE,
    SPAN,
    Journal,
    JournalRecord,
    Parts,
    begin_parts,
    create_journal,
    read_fingerprint,
    write_part,
)

RECORDS = [JournalRecord(f"{number}.png", (number,), ("ok", "\u2028é", "")) for number in range(5)]

NEW = JournalRecord("new", ())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with create_journal(tmp_path / "r.journal", {"tool": "1"}) as journal:
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
    assert read_fingerprint(path) == {"tool": "1"}
    assert path.read_text().splitlines()[0][9:] == (
        f'{{"format":"cxr-batch journal 2","fingerprint":{{"tool":"1"}},"instructions":"{instructions()}"}}'
    )


def test_a_journal_cut_anywhere_gives_the_records_before_the_cut_and_goes_on(path: Path) -> None:
    whole = path.read_bytes()
    header = whole.index(b"\n") + 1
    for length in range(header, len(whole)):
        path.write_bytes(whole[:length])
        complete = whole[:length].count(b"\n") - 1
        with Journal(path) as journal:
            assert [record for _, record in journal.records()] == RECORDS[:complete]
            (position,) = journal.append([NEW])
            assert journal.record_at(position) == NEW
        assert records(path) == [*RECORDS[:complete], NEW]


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
        read_fingerprint(tmp_path / "j")


def test_there_is_no_header_where_there_is_no_file(tmp_path: Path) -> None:
    assert read_fingerprint(tmp_path / "absent") is None


def test_a_full_disk_is_told_and_what_was_written_before_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cxr.screening import journal as module

    def full(file: object, data: bytes) -> None:
        file.write(data[:10])  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    with Journal(path) as journal:
        monkeypatch.setattr(module, "_write_all", full)
        with pytest.raises(OutputError, match="No space left on device; what was done so far is kept"):
            journal.append([NEW])
    assert records(path) == RECORDS


def test_a_folder_that_is_absent_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="File exists; something else has that name: give another"):
        create_journal(tmp_path / "file" / "j", {})


def record(name: str) -> JournalRecord:
    return JournalRecord(name, (1, name))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    begin_parts(tmp_path / "r.csv.parts", {"tool": "1"})
    return tmp_path / "r.csv.parts"


def test_records_come_back_by_position_in_any_order_and_in_the_order_of_parts(folder: Path) -> None:
    late = write_part(folder, 7, [record("a"), record("b")])
    early = write_part(folder, 2, [record("c")])

    with Parts(folder) as parts:
        assert [parts.record_at(place).path for place in (*late, *early, late[0])] == ["a", "b", "c", "a"]
        assert list(parts.records()) == [(early[0], record("c")), (late[0], record("a")), (late[1], record("b"))]
        assert parts.next_number == 8
    assert [place // SPAN for place in (*late, *early)] == [7, 7, 2]


def test_the_classes_of_all_processors_that_wrote_a_part_are_known(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Parts(folder) as parts:
        assert parts.instructions() == set()  # whoever began has computed nothing
        for number, here in enumerate(("avx2", "avx512", "avx2")):
            monkeypatch.setattr("cxr.screening.journal.instructions", lambda here=here: here)
            write_part(folder, number, [record(here)])
        assert parts.instructions() == {"avx2", "avx512"}
        assert [kept.path for _, kept in parts.records()] == ["avx2", "avx512", "avx2"]


def test_writing_a_part_again_changes_no_byte(folder: Path) -> None:
    first = write_part(folder, 0, [record("a")])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    assert write_part(folder, 0, [record("a")]) == first
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_is_added_is_a_part_of_its_own(folder: Path) -> None:
    with Parts(folder) as parts:
        places = parts.append([record("a")]) + parts.append([record("b")])
        assert [place // SPAN for place in places] == [0, 1]
        assert [one.path for _, one in parts.records()] == ["a", "b"]


def test_the_half_of_a_writer_that_died_and_its_tries_are_removed(folder: Path) -> None:
    (folder / ".00000000.part.x1y2.tmp").write_bytes(b"half")
    (folder / "00000000.tries").write_bytes(b"...")
    with Parts(folder) as parts:
        assert not list(parts.records())
    assert [path.name for path in folder.iterdir()] == [HEADER_FILE]


def test_beginning_again_replaces_all_parts(folder: Path) -> None:
    write_part(folder, 0, [record("a")])
    with begin_parts(folder, {"tool": "2"}) as parts:
        assert not list(parts.records())
    assert read_fingerprint(folder / HEADER_FILE) == {"tool": "2"}


def test_a_part_that_cannot_be_written_is_said_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left on device; free some space"):
        write_part(folder, 0, [record("a")])
    assert [path.name for path in folder.iterdir()] == [HEADER_FILE]


def test_a_folder_that_holds_something_else_is_never_removed(folder: Path) -> None:
    (folder / "thesis.docx").write_text("three years")
    with pytest.raises(OutputError, match=r"holds thesis\.docx, which cxr-batch did not write"):
        begin_parts(folder, {})
    assert (folder / "thesis.docx").read_text() == "three years"


def test_all_that_a_run_leaves_there_is_removed(folder: Path) -> None:
    write_part(folder, 0, [record("a")])
    (folder / ".00000001.part.x1y2.tmp").write_bytes(b"half")
    (folder / "00000001.tries").write_bytes(b".")
    (folder / "networks" / "0").mkdir(parents=True)
    with begin_parts(folder, {}) as parts:
        assert not list(parts.records())
    assert [path.name for path in folder.iterdir()] == [HEADER_FILE]
