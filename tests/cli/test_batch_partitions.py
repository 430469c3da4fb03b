"""A table as a folder of Parquet files, as its user sees it."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from cxr.cli.merge import app as merge
from cxr.screening import partitions
from cxr.screening.described import read_described
from cxr.screening.verify import verify_table
from tests.cli.batches import run
from tests.screening.drawings import save

pytestmark = pytest.mark.usefixtures("model")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for number in range(7):
        save(tmp_path / "scans", f"{number}.png", (number, 90, 30 * number))
    return tmp_path / "scans"


def written(scans: Path, output: Path, *more: object) -> None:
    result = run(scans, "-o", output, "--format", "parquet", "--partitions", *more)
    assert result.exit_code == 0, result.stderr


def test_it_is_read_as_one_verified_and_written_as_csv(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions.write_partitions, "__defaults__", (3,))
    table = tmp_path / "r.parquet"
    written(scans, table)
    assert [pq.read_table(path).num_rows for path in partitions.partitions_of(table)] == [3, 3, 1]
    assert pq.read_table(table)["path"].to_pylist() == [f"{number}.png" for number in range(7)]

    whole = tmp_path / "whole.csv"
    run(scans, "-o", whole)
    joined = CliRunner().invoke(merge, [str(table), "-o", str(tmp_path / "joined.csv")])
    assert joined.exit_code == 0, joined.stderr
    assert (tmp_path / "joined.csv").read_bytes() == whole.read_bytes()
    for one in (table, tmp_path / "joined.csv"):
        assert all(check.holds for check in verify_table(read_described(one)))

    partitions.partitions_of(table)[1].unlink()
    assert [check.name for check in verify_table(read_described(table)) if not check.holds] == ["bytes", "counts"]
    refused = CliRunner().invoke(merge, [str(table), "-o", str(tmp_path / "again.csv")])
    assert refused.exit_code == 1
    assert "is not what its manifest describes" in refused.stderr


def test_the_same_command_goes_on(scans: Path, tmp_path: Path) -> None:
    written(scans, tmp_path / "r.parquet")
    save(scans, "9.png", (9, 9, 9))
    written(scans, tmp_path / "r.parquet")
    assert pq.read_table(tmp_path / "r.parquet").num_rows == 8


def test_what_is_no_such_folder_is_not_replaced(scans: Path, tmp_path: Path) -> None:
    (tmp_path / "r.parquet").mkdir()
    (tmp_path / "r.parquet" / "thesis.docx").write_text("three years")
    result = run(scans, "-o", tmp_path / "r.parquet", "--format", "parquet", "--partitions", "--overwrite")
    assert result.exit_code == 1
    assert "with --partitions it is a folder, and there is something else" in result.stderr
    assert (tmp_path / "r.parquet" / "thesis.docx").read_text() == "three years"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["-o", "r.csv", "--partitions"], "--partitions is for Parquet: --format parquet"),
        (["-o", "s3://bucket/r.parquet", "--partitions"], "--partitions is for a local folder"),
        (["-o", "r.csv", "--address", "auto"], "--address is for --engine ray"),
        (["-o", "-", "--engine", "ray"], "--engine ray needs a results file; give one with -o"),
        (["-o", "r.csv", "--engine", "ray", "--threads", "2"], "--threads is not for --engine ray"),
        (["-o", "r.csv", "--engine", "ray", "--verbose"], "--verbose is not for --engine ray"),
        (["-o", "s3://bucket/r.csv", "--engine", "ray"], "name it with --scratch"),
        (["-o", "r.csv", "--processes", "2", "--verbose"], "--processes is not for --verbose"),
        (["-o", "-", "--processes", "2"], "--processes is not for -o -, where rows come in order"),
        (["-o", "r.csv", "--processes", "2", "--engine", "ray"], "--processes is not for --engine ray"),
        (["-o", "r.csv", "--processes", "2", "--workers", "2"], "--workers and --threads are of one process"),
        (
            ["-o", "r.csv", "--processes", "2", "--model", "dvc:models/fast"],
            "--processes is not for networks of a revision",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(scans: Path, more: list[str], sentence: str) -> None:
    result = run(scans, *more)
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_without_ray_the_remedy_is_named(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    result = run(scans, "-o", tmp_path / "r.csv", "--engine", "ray")
    assert result.exit_code == 2
    assert "needs the extra 'ray': pip install 'cxr-batch[ray]'" in result.stderr
