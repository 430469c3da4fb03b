"""S3, by moto's server on loopback, through a proxy that is cut."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cxr.remote import filesystem, store
from tests.cli.batches import run
from tests.remote.places import without_names
from tests.remote.proxy import Proxy
from tests.remote.s3 import KEYS, s3_server, upload
from tests.screening.drawings import save

pytest.importorskip("s3fs", reason="needs the extra 's3'")
pytest.importorskip("moto.server", reason="needs moto[server], of the extra 'dev'")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("model")]

FILES = 300


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with s3_server(tmp_path_factory.mktemp("moto") / "log") as port:
        yield port


@pytest.fixture
def many(scans: Path) -> Path:
    for number in range(FILES):
        save(scans, f"more/{number % 7}/{number:03}.png", (number % 256, 3 * number % 256, 90))
    return scans


@pytest.fixture
def proxy(port: int) -> Proxy:
    return Proxy(port)


@pytest.fixture
def address(port: int, proxy: Proxy, many: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in (KEYS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}"}).items():
        monkeypatch.setenv(name, value)
    bucket = f"films-{abs(hash(str(many))) % 10**9}"
    upload(many, bucket, f"http://127.0.0.1:{port}")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    return f"s3://{bucket}/{many.name}"


@pytest.fixture
def local(many: Path, tmp_path: Path) -> Path:
    run(many, "-o", tmp_path / "local.csv")
    return tmp_path / "local.csv"


def test_a_bucket_gives_the_table_of_the_folder(address: str, local: Path, tmp_path: Path) -> None:
    assert run(address, "-o", tmp_path / "r.csv").exit_code == 3
    assert (tmp_path / "r.csv").read_bytes() == local.read_bytes()
    assert without_names(tmp_path / "r.csv") == without_names(local)
    again = run(address, "-o", tmp_path / "r.csv")
    assert f"going on: {FILES + 14} of {FILES + 16} files were done before" in again.stderr


def test_pages_of_a_listing_are_asked_for_one_by_one(
    address: str, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PAGE", 10)
    run(address, "-o", tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_bytes() == local.read_bytes()


@pytest.mark.long
def test_a_connection_that_is_cut_again_and_again_loses_nothing(
    address: str, local: Path, proxy: Proxy, tmp_path: Path
) -> None:
    done = threading.Event()

    def cutting() -> None:
        for _ in range(3):
            if done.wait(0.3):
                return
            proxy.cut()
            time.sleep(1)
            proxy.mend()

    saboteur = threading.Thread(target=cutting)
    saboteur.start()
    try:
        run(address, "-o", tmp_path / "r.csv", "--workers", "4")
    finally:
        done.set()
        saboteur.join()
    assert proxy.cuts >= 2
    assert (tmp_path / "r.csv").read_bytes() == local.read_bytes()


@pytest.mark.long
def test_a_connection_that_stays_away_ends_the_run_and_the_same_command_goes_on(
    address: str, local: Path, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem, "RETRY_SECONDS", 2.0)
    threading.Timer(0.5, proxy.cut).start()
    stopped = run(address, "-o", tmp_path / "r.csv", "--workers", "2")
    assert stopped.exit_code == 1, stopped.stderr
    assert "has not answered for 2 s" in stopped.stderr
    assert not (tmp_path / "r.csv").exists()
    proxy.mend()
    run(address, "-o", tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_bytes() == local.read_bytes()


def test_a_table_can_go_to_the_bucket_it_is_about(address: str, local: Path, cache: Path, tmp_path: Path) -> None:
    import s3fs

    output = f"{address}/results.csv"
    first = run(address, "-o", output)
    assert f"{cache}/cxr-batch/output/" in first.stderr
    files = s3fs.S3FileSystem()
    assert files.cat_file(output) == local.read_bytes()
    assert f'"root": "{address}"' in files.cat_file(output.replace(".csv", ".manifest.json")).decode()
    again = run(address, "-o", output)  # neither table nor manifest is taken for a file of the folder
    assert f"going on: {FILES + 14} of {FILES + 16} files" in again.stderr
    assert files.cat_file(output) == local.read_bytes()
    elsewhere = run(address, "-o", output, "--scratch", tmp_path / "other")
    assert elsewhere.exit_code == 1
    assert "has no journal that tells how it was made" in elsewhere.stderr


def test_no_secret_is_in_anything_that_is_written_or_said(address: str, cache: Path, tmp_path: Path) -> None:
    said = ""
    for output in (tmp_path / "r.csv", f"{address}/results.csv"):
        for more in ([], ["--log-json"], ["--overwrite", "--verbose"]):
            said += run(f"{address}?X-Amz-Signature=planted-sig", "-o", output, *more).output
            result = run(address, "-o", output, *more)
            said += result.output + result.stderr
    for kept in (*tmp_path.glob("r.*"), *cache.rglob("*")):
        said += kept.read_text(encoding="utf-8") if kept.is_file() else ""
    assert "results.csv" in said
    assert not [secret for secret in (*list(KEYS.values())[:3], "planted-sig") if secret in said]


def test_a_bucket_that_is_absent_or_closed_is_said(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    absent = run("s3://no-such-bucket/x", "-o", "-")
    assert (absent.exit_code, "does not exist" in absent.stderr) == (2, True)
    for name in KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    s3fs.S3FileSystem.clear_instance_cache()
    closed = run(address, "-o", "-")
    assert "cannot be read: no credentials were found" in closed.stderr
