from pathlib import Path

import pytest

from cxr.core.errors import OutputError, UsageError
from tests.cli.batches import run
from tests.remote.places import in_memory

fsspec = pytest.importorskip("fsspec", reason="needs the extra 'remote'")
pytestmark = pytest.mark.usefixtures("model")


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"memory://{tmp_path.name}-out/results.csv"


def content(address: str) -> bytes:
    data: bytes = fsspec.filesystem("memory").cat_file(address)
    return data


def test_table_and_manifest_are_sent_when_they_are_whole(
    scans: Path, address: str, cache: Path, tmp_path: Path
) -> None:
    run(scans, "-o", tmp_path / "local.csv")
    result = run(scans, "-o", address)
    assert content(address) == (tmp_path / "local.csv").read_bytes()
    (folder,) = (cache / "cxr-batch" / "output").iterdir()
    assert content(address.replace(".csv", ".manifest.json")) == (folder / "results.manifest.json").read_bytes()
    assert f"the table is made in {folder} and sent to {address}" in result.stderr
    assert result.stderr.rstrip().splitlines()[-2] == f"results  {address}"


def test_the_folder_can_be_named_and_the_same_command_goes_on(scans: Path, address: str, tmp_path: Path) -> None:
    run(scans, "-o", address, "--scratch", tmp_path / "scratch")
    assert (tmp_path / "scratch" / "results.csv.journal").exists()
    again = run(scans, "-o", address, "--scratch", tmp_path / "scratch")
    assert "going on: 14 of 16" in again.stderr


def test_a_table_there_that_nothing_here_knows_is_not_replaced_unasked(scans: Path, address: str) -> None:
    fsspec.filesystem("memory").pipe_file(address, b"precious")
    refused = run(scans, "-o", address)
    assert refused.exit_code == 1
    assert "has no journal that tells how it was made" in refused.stderr
    assert content(address) == b"precious"
    assert run(scans, "-o", address, "--overwrite").exit_code == 3
    assert content(address) != b"precious"


def test_what_cannot_be_sent_stays_whole_here(
    scans: Path, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError("AKIA-secret")

    memory = fsspec.filesystem("memory")
    monkeypatch.setattr(type(memory), "put_file", refused)
    result = run(scans, "-o", address, "--scratch", tmp_path / "s")
    assert result.exit_code == 1
    assert f"cannot write {address}: Permission denied; the table is whole in {tmp_path / 's'}" in result.stderr
    assert "secret" not in result.stderr
    assert not memory.exists(address)
    monkeypatch.undo()


def test_a_store_without_whole_files_gets_another_name_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cxr.remote import filesystem
    from cxr.screening.tables import OutputFiles

    monkeypatch.setattr(filesystem, "ATOMIC", ())
    files = OutputFiles(tmp_path / "r.csv")
    files.results.write_bytes(b"table")
    files.manifest.write_bytes(b"{}")
    memory = fsspec.filesystem("memory")
    memory.pipe_file(f"/{tmp_path.name}/r.csv", b"older")
    seen: list[str] = []
    real = type(memory).put_file
    monkeypatch.setattr(
        type(memory), "put_file", lambda self, local, path, **_: (seen.append(path), real(self, local, path))
    )
    filesystem.Upload(f"memory://{tmp_path.name}/r.csv", files).send()
    assert [path.rpartition("/")[2] for path in seen] == ["r.csv.part", "r.manifest.json.part"]
    assert memory.cat_file(f"/{tmp_path.name}/r.csv") == b"table"
    assert not memory.exists(f"/{tmp_path.name}/r.csv.part")


@pytest.mark.parametrize("output", ["zip://r.csv::x.zip", "https://host/r.csv", "s3://bucket/"])
def test_where_nothing_can_be_written_is_said(output: str) -> None:
    from cxr.remote.filesystem import scratch_results

    with pytest.raises(UsageError):
        scratch_results(output, None)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    from cxr.remote.filesystem import scratch_results

    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="--scratch"):
        scratch_results("s3://bucket/r.csv", tmp_path / "file" / "below")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--scratch", "x"], "--scratch is for tables that go to an address"),
        (["--rev", "v1"], "--rev is for dvc:// inputs"),
        (["--changed-since", "v1"], "--changed-since is for dvc:// inputs"),
        (["--earlier", "x.csv"], "--earlier is for --changed-since"),
        (["memory://x"], "local paths and addresses cannot be screened in one run"),
    ],
)
def test_what_contradicts_itself_is_refused(options: list[str], words: str, scans: Path, tmp_path: Path) -> None:
    result = run(scans, *options, "-o", tmp_path / "r.csv")
    assert (result.exit_code, words in result.stderr) == (2, True)


def test_a_shard_does_not_write_where_the_others_look(scans: Path, tmp_path: Path) -> None:
    address = in_memory(scans, f"{tmp_path.name}-shards")
    result = run(address, "--shard", "1/2", "-o", f"{address}/one.csv")
    assert "where the other shards would find it" in result.stderr
