"""A table depends on the files, not on where they lie."""

import functools
import http.server
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.batches import column, run
from tests.remote.places import in_memory, manifest, tarred, without_names, zipped

fsspec = pytest.importorskip("fsspec", reason="needs the extra 'remote'")
pytestmark = pytest.mark.usefixtures("model")


@pytest.fixture
def local(scans: Path, tmp_path: Path) -> Path:
    assert run(scans, "-o", tmp_path / "local.csv").exit_code == 3  # files that cannot be read
    return tmp_path / "local.csv"


@pytest.fixture
def address(request: pytest.FixtureRequest, scans: Path) -> str:
    if request.param == "memory":
        return in_memory(scans, scans.parent.name)
    return {"zip": zipped, "tar": tarred, "tar-plain": functools.partial(tarred, suffix=".tar")}[request.param](scans)


@pytest.mark.parametrize("address", ["memory", "zip", "tar", "tar-plain"], indirect=True)
def test_equal_bytes_and_counts(address: str, local: Path, tmp_path: Path) -> None:
    assert run(address, "-o", tmp_path / "r.csv").exit_code == 3
    assert (tmp_path / "r.csv").read_bytes() == local.read_bytes()
    assert without_names(tmp_path / "r.csv") == without_names(local)
    assert manifest(tmp_path / "r.csv")["request"]["root"] == address


@pytest.mark.parametrize("address", ["memory", "zip", "tar"], indirect=True)
@pytest.mark.parametrize("options", [["--no-recursive"], ["--exclude", "ward 1"], ["--include", "*1.png"]])
def test_what_is_left_out_is_left_out_everywhere(address: str, options: list[str], scans: Path, tmp_path: Path) -> None:
    run(scans, *options, "-o", tmp_path / "l.csv")
    run(address, *options, "-o", tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "l.csv").read_bytes()
    assert without_names(tmp_path / "r.csv") == without_names(tmp_path / "l.csv")


@pytest.mark.parametrize("address", ["memory", "zip"], indirect=True)
def test_the_same_command_reads_only_what_failed_and_what_is_new(address: str, local: Path, tmp_path: Path) -> None:
    run(address, "-o", tmp_path / "r.csv")
    again = run(address, "-o", tmp_path / "r.csv", "--verbose")
    assert "going on: 14 of 16 files were done before; 1 other had no row; 2 failed before" in again.stderr
    assert (tmp_path / "r.csv").read_bytes() == local.read_bytes()


def test_a_file_that_was_replaced_is_screened_again(scans: Path, tmp_path: Path) -> None:
    address = in_memory(scans, f"{tmp_path.name}-replaced")
    run(address, "-o", tmp_path / "r.csv")
    fsspec.filesystem("memory").pipe_file(
        f"/{tmp_path.name}-replaced/ward 0/00.png", (scans / "ward 1/01.png").read_bytes()
    )
    assert "ward 0/00.png" in run(address, "-o", tmp_path / "r.csv", "--verbose").stderr


def test_several_addresses_are_named_from_where_they_meet(scans: Path, tmp_path: Path) -> None:
    address = in_memory(scans, f"{tmp_path.name}-several")
    run(f"{address}/ward 1", f"{address}/ward 0/00.png", "-o", tmp_path / "r.csv")
    run(scans / "ward 1", scans / "ward 0/00.png", "-o", tmp_path / "l.csv")
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "l.csv").read_bytes()


def test_a_list_may_name_addresses_and_one_that_is_gone_has_a_row(scans: Path, tmp_path: Path) -> None:
    address = in_memory(scans, f"{tmp_path.name}-list")
    (tmp_path / "list").write_text(f"{address}/ward 0/00.png\n{address}/gone.png\n")
    assert run("--files-from", tmp_path / "list", "-o", tmp_path / "r.csv").exit_code == 3
    assert column(tmp_path / "r.csv", "path") == ["gone.png", "ward 0/00.png"]
    assert column(tmp_path / "r.csv", "detail") == ["No such file or directory", ""]


def test_whole_names_are_addresses(scans: Path, tmp_path: Path) -> None:
    address = zipped(scans)
    run(address, "--paths", "absolute", "--include", "00.png", "-o", tmp_path / "r.csv")
    head, archive = address.split("::")
    assert column(tmp_path / "r.csv", "path") == [f"{head}/ward 0/00.png::{archive}"]


@pytest.fixture
def server(scans: Path) -> Iterator[int]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(scans.parent))
    ) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield listening.server_port
        listening.shutdown()


def test_pages_of_a_web_server(server: int, local: Path, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="needs the extra 'http'")
    for address in (f"http://127.0.0.1:{server}/scans/", f"http://127.0.0.1:{server}/scans"):
        assert run(address, "-o", tmp_path / "r.csv", "--overwrite").exit_code == 3
        assert (tmp_path / "r.csv").read_bytes() == local.read_bytes()
    again = run(f"http://127.0.0.1:{server}/scans", "-o", tmp_path / "r.csv")
    assert "going on: 14 of 16" in again.stderr


def test_file_addresses_are_local_paths(scans: Path, local: Path, tmp_path: Path) -> None:
    run(scans.as_uri(), "-o", f"file://{tmp_path}/r.csv")
    assert (tmp_path / "r.csv").read_bytes() == local.read_bytes()
    assert manifest(tmp_path / "r.csv")["request"]["root"] == str(scans)


def test_no_secret_of_an_address_is_in_anything_that_is_written_or_said(server: int, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="needs the extra 'http'")
    code = "from cxr.cli.batch import script; script()"
    address = f"http://planted-user:planted-password@127.0.0.1:{server}/scans/?X-Amz-Signature=planted-signature"
    file = f"http://127.0.0.1:{server}/scans/no-suffix?sig=planted-token"
    said = ""
    for given, more in ((address, ["--log-json"]), (address, ["-v", "--overwrite"]), (file, ["-v", "--overwrite"])):
        done = subprocess.run(
            [sys.executable, "-c", code, given, "-o", str(tmp_path / "r.csv"), *more],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 3), done.stderr
        said += done.stdout + done.stderr + "".join(path.read_text() for path in tmp_path.glob("*r.*"))
    assert f"http://127.0.0.1:{server}/scans" in said
    assert "planted" not in said


@pytest.mark.parametrize("address", ["memory", "zip"], indirect=True)
def test_rows_are_screened_again_where_the_files_lie(address: str, scans: Path, tmp_path: Path) -> None:
    from cxr.cli.tables import _root_of
    from cxr.screening.run_manifest import read_run_result
    from cxr.screening.verify import rescore
    from tests.screening.fakes import FakeModel

    for style in ("relative", "absolute"):
        run(address, "-o", tmp_path / "r.csv", "--paths", style, "--overwrite")
        table = read_run_result(tmp_path / "r.csv")
        root = _root_of(None, table)
        assert str(root) == address
        check = rescore(table, [FakeModel()], root, b"", 99, 0)
        assert check.holds, check.findings
        assert "16 rows" in check.name
    (scans / "ward 1/01.png").write_bytes((scans / "ward 0/00.png").read_bytes())
    in_memory(scans, tmp_path.name)
    zipped(scans)
    fsspec.filesystem("memory").invalidate_cache()
    (changed,) = rescore(table, [FakeModel()], _root_of(address, table), b"", 99, 0).findings
    assert "the file has changed" in changed


@pytest.mark.parametrize("address", ["memory", "zip", "tar"], indirect=True)
def test_a_store_can_be_handed_to_another_process(address: str) -> None:
    from cxr.remote.store import open_store
    from cxr.screening.candidates import Query
    from cxr.screening.discovery import discover
    from cxr.screening.paths import Naming

    store = open_store([address])
    again = pickle.loads(pickle.dumps(store))
    assert discover(Query([]), Naming(again)) == discover(Query([]), Naming(store))
    assert str(again) == address


def test_hashed_names_leave_no_address_in_table_journal_and_manifest(scans: Path, tmp_path: Path) -> None:
    address = in_memory(scans, "hospital-name")
    (tmp_path / "key").write_bytes(b"k" * 16)
    hashed = ("--paths", "hashed", "--key", tmp_path / "key")
    run(address, "-o", tmp_path / "r.csv", *hashed)
    run(scans, "-o", tmp_path / "l.csv", *hashed)
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "l.csv").read_bytes()
    assert not [path for path in tmp_path.glob("r.*") if b"hospital-name" in path.read_bytes()]


def test_rows_can_be_streamed_and_listed(scans: Path, local: Path, tmp_path: Path) -> None:
    address = in_memory(scans, tmp_path.name)
    assert run(address, "-o", "-").stdout == local.read_text(encoding="utf-8")
    assert run(address, "--dry-run").stdout == run(scans, "--dry-run").stdout


def test_a_page_with_thumbnails_is_made_of_files_at_an_address(scans: Path, tmp_path: Path) -> None:
    address = in_memory(scans, tmp_path.name)
    run(scans, "-o", tmp_path / "r.csv", "--report", tmp_path / "l.html")
    run(address, "-o", tmp_path / "r.csv", "--report", tmp_path / "r.html", "--overwrite")
    assert (tmp_path / "r.html").read_bytes().count(b"data:image") == (tmp_path / "l.html").read_bytes().count(
        b"data:image"
    )
