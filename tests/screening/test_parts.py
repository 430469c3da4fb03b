from pathlib import Path

import pytest

from cxr.errors import OutputError
from cxr.screening.journal import read_header
from cxr.screening.parts import HEADER_FILE, SPAN, Parts, begin_parts, write_part


def record(name: str) -> dict[str, object]:
    return {"path": name, "stamp": [1, name]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    begin_parts(tmp_path / "r.csv.parts", {"fingerprint": {"tool": "1"}})
    return tmp_path / "r.csv.parts"


def test_records_come_back_by_position_in_any_order_and_in_the_order_of_parts(folder: Path) -> None:
    late = write_part(folder, 7, [record("a"), record("b")])
    early = write_part(folder, 2, [record("c")])

    with Parts(folder) as parts:
        assert [parts.record_at(place)["path"] for place in (*late, *early, late[0])] == ["a", "b", "c", "a"]
        assert list(parts.records()) == [(early[0], record("c")), (late[0], record("a")), (late[1], record("b"))]
        assert parts.next_number == 8
    assert [place // SPAN for place in (*late, *early)] == [7, 7, 2]


def test_the_classes_of_all_processors_that_wrote_a_part_are_known(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Parts(folder) as parts:
        assert parts.instructions() == set()  # whoever began has computed nothing
        for number, here in enumerate(("avx2", "avx512", "avx2")):
            monkeypatch.setattr("cxr.screening.records.instructions", lambda here=here: here)
            write_part(folder, number, [record(here)])
        assert parts.instructions() == {"avx2", "avx512"}
        assert [kept["path"] for _, kept in parts.records()] == ["avx2", "avx512", "avx2"]


def test_writing_a_part_again_changes_no_byte(folder: Path) -> None:
    first = write_part(folder, 0, [record("a")])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    assert write_part(folder, 0, [record("a")]) == first
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_is_added_is_a_part_of_its_own(folder: Path) -> None:
    with Parts(folder) as parts:
        places = parts.append([record("a")]) + parts.append([record("b")])
        assert [place // SPAN for place in places] == [0, 1]
        assert [one["path"] for _, one in parts.records()] == ["a", "b"]


def test_the_half_of_a_writer_that_died_and_its_tries_are_removed(folder: Path) -> None:
    (folder / ".00000000.part.x1y2.tmp").write_bytes(b"half")
    (folder / "00000000.tries").write_bytes(b"...")
    with Parts(folder) as parts:
        assert not list(parts.records())
    assert [path.name for path in folder.iterdir()] == [HEADER_FILE]


def test_beginning_again_replaces_all_parts(folder: Path) -> None:
    write_part(folder, 0, [record("a")])
    with begin_parts(folder, {"fingerprint": {"tool": "2"}}) as parts:
        assert not list(parts.records())
    header = read_header(folder / HEADER_FILE)
    assert header is not None
    assert header["fingerprint"] == {"tool": "2"}


def test_a_part_that_cannot_be_written_is_said_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left on device; what was done so far is kept"):
        write_part(folder, 0, [record("a")])
    assert [path.name for path in folder.iterdir()] == [HEADER_FILE]


def test_a_folder_that_holds_something_else_is_never_removed(folder: Path) -> None:
    (folder / "thesis.docx").write_text("three years")
    with pytest.raises(OutputError, match=r"holds thesis\.docx, which cxr-batch did not write"):
        begin_parts(folder, {"fingerprint": {}})
    assert (folder / "thesis.docx").read_text() == "three years"


def test_all_that_a_run_leaves_there_is_removed(folder: Path) -> None:
    write_part(folder, 0, [record("a")])
    (folder / ".00000001.part.x1y2.tmp").write_bytes(b"half")
    (folder / "00000001.tries").write_bytes(b".")
    (folder / "networks" / "0").mkdir(parents=True)
    with begin_parts(folder, {"fingerprint": {}}) as parts:
        assert not list(parts.records())
    assert [path.name for path in folder.iterdir()] == [HEADER_FILE]
