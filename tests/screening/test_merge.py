import json
from pathlib import Path

import pytest

from cxr.core.errors import DataError, UsageError
from cxr.screening.discovery import Shard
from cxr.screening.merge import merge
from cxr.screening.run_manifest import read_run_result
from cxr.screening.tables import Format, OutputFiles
from cxr.screening.verify import verify_table
from tests.screening.drawings import save, save_mixed
from tests.screening.fakes import FakeModel
from tests.screening.works import run_in, work_on


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    return save_mixed(tmp_path / "scans")


def shard(scans: Path, output: Path, number: int, of: int = 3, **more: object) -> Path:
    run_in(output, work_on(scans, shard=Shard(number, of), **more))  # type: ignore[arg-type]
    return output


@pytest.fixture
def tables(scans: Path, tmp_path: Path) -> list[Path]:
    return [shard(scans, tmp_path / f"{number}.csv", number) for number in (1, 2, 3)]


def join(output: Path, *tables: Path, wanted: Format = Format.CSV) -> None:
    merge([read_run_result(table) for table in tables], OutputFiles(output), wanted)


@pytest.mark.parametrize("wanted", Format)
def test_all_shards_in_any_order_give_the_bytes_of_one_run(
    wanted: Format, scans: Path, tables: list[Path], tmp_path: Path
) -> None:
    run_in(tmp_path / f"whole.{wanted}", work_on(scans, format=wanted))
    join(tmp_path / f"joined.{wanted}", *reversed(tables), wanted=wanted)
    assert (tmp_path / f"joined.{wanted}").read_bytes() == (tmp_path / f"whole.{wanted}").read_bytes()


def test_the_manifest_counts_like_that_of_one_run_and_names_the_shards(
    scans: Path, tables: list[Path], tmp_path: Path
) -> None:
    run_in(tmp_path / "whole.csv", work_on(scans))
    join(tmp_path / "joined.csv", *tables)
    whole, joined = (read_run_result(tmp_path / name).manifest for name in ("whole.csv", "joined.csv"))
    for section in ("counts", "aside", "models", "listing", "fingerprint"):
        assert getattr(joined, section) == getattr(whole, section)
    assert [part.shard for part in joined.merged_from] == ["1/3", "2/3", "3/3"]
    assert all(check.holds for check in verify_table(read_run_result(tmp_path / "joined.csv")))


def test_a_gap_is_refused_and_named(tables: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="of 3 shards, 2 missing"):
        join(tmp_path / "joined.csv", tables[0], tables[2])
    assert not (tmp_path / "joined.csv").exists()


def test_an_overlap_is_refused(scans: Path, tables: list[Path], tmp_path: Path) -> None:
    again = shard(scans, tmp_path / "again.csv", 2)
    with pytest.raises(DataError, match="both shard 2/3"):
        join(tmp_path / "joined.csv", *tables, again)


def test_shards_of_another_division_are_refused(scans: Path, tables: list[Path], tmp_path: Path) -> None:
    other = shard(scans, tmp_path / "other.csv", 2, of=2)
    with pytest.raises(DataError, match="not of one division"):
        join(tmp_path / "joined.csv", tables[0], other)


def test_tables_of_whole_runs_are_refused(scans: Path, tmp_path: Path) -> None:
    run_in(tmp_path / "whole.csv", work_on(scans))
    with pytest.raises(DataError, match="was not written with --shard"):
        join(tmp_path / "joined.csv", tmp_path / "whole.csv", tmp_path / "whole.csv")


def test_one_whole_table_is_written_in_another_form(scans: Path, tmp_path: Path) -> None:
    run_in(tmp_path / "whole.csv", work_on(scans))
    run_in(tmp_path / "lines.jsonl", work_on(scans, format=Format.JSONL))
    join(tmp_path / "other.jsonl", tmp_path / "whole.csv", wanted=Format.JSONL)
    assert (tmp_path / "other.jsonl").read_bytes() == (tmp_path / "lines.jsonl").read_bytes()
    written = read_run_result(tmp_path / "other.jsonl")
    assert all(check.holds for check in verify_table(written))
    assert written.manifest.counts == read_run_result(tmp_path / "whole.csv").manifest.counts


def test_shards_of_another_model_are_refused(scans: Path, tables: list[Path], tmp_path: Path) -> None:
    other = shard(scans, tmp_path / "other.csv", 3, models=[FakeModel(identity="other-1")])
    with pytest.raises(DataError, match="were made with different models"):
        join(tmp_path / "joined.csv", *tables[:2], other)


def test_shards_that_saw_different_folders_are_refused(scans: Path, tables: list[Path], tmp_path: Path) -> None:
    save(scans, "new.png")
    late = shard(scans, tmp_path / "late.csv", 3)
    with pytest.raises(DataError, match=r"saw different folders .*32 files.*33 files"):
        join(tmp_path / "joined.csv", *tables[:2], late)


def test_a_shard_that_was_cut_short_by_a_limit_is_refused(scans: Path, tables: list[Path], tmp_path: Path) -> None:
    short = shard(scans, tmp_path / "short.csv", 3, limit=2)
    with pytest.raises(DataError, match="--limit"):
        join(tmp_path / "joined.csv", *tables[:2], short)


def test_a_shard_that_was_changed_is_refused(tables: list[Path], tmp_path: Path) -> None:
    tables[1].write_text(tables[1].read_text().replace(",ok,", ",error,"))
    with pytest.raises(DataError, match="run cxr-verify"):
        join(tmp_path / "joined.csv", *tables)


def test_a_table_without_its_manifest_is_refused(tables: list[Path], tmp_path: Path) -> None:
    OutputFiles(tables[0]).manifest.unlink()
    with pytest.raises(DataError, match="rename both"):
        join(tmp_path / "joined.csv", *tables)


@pytest.mark.parametrize("content", ["{}", "[]", json.dumps({"manifest": 1})])
def test_a_manifest_of_something_else_is_refused(content: str, tables: list[Path]) -> None:
    OutputFiles(tables[0]).manifest.write_text(content)
    with pytest.raises(DataError, match="is not a manifest of version 1"):
        read_run_result(tables[0])


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3", "1/3/3", ""])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected i/n"):
        Shard.parse(text)


def test_a_file_that_appears_moves_no_other_to_another_shard() -> None:
    names = [f"{number}.png" for number in range(100)]
    assert all(sum(Shard(number, 7).has(name) for number in range(1, 8)) == 1 for name in names)
