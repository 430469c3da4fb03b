import errno
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from cxr.core.errors import DataError, UsageError
from cxr.remote.filesystem import RetryPolicy
from cxr.screening.paths import cleaned


class ClientConnectorError(Exception):
    """As aiohttp's: no OSError to whoever catches it."""


class RefusedError(OSError):
    status = 403


def failing(error: Exception, times: int) -> Callable[[], str]:
    left = [error] * times

    def request() -> str:
        if left:
            raise left.pop()
        return "answer"

    return request


@pytest.mark.parametrize("error", [ConnectionResetError(), TimeoutError(), ClientConnectorError(), OSError("SlowDown")])
def test_what_passes_is_tried_again(error: Exception) -> None:
    assert RetryPolicy("s3://b", 5).call(failing(error, 3)) == "answer"


@pytest.mark.parametrize(
    ("error", "number", "words"),
    [
        (FileNotFoundError("s3://user:secret@b/x"), errno.ENOENT, "No such file or directory"),
        (PermissionError("key AKIA"), errno.EACCES, "Permission denied"),
        (RefusedError("https://b/x?sig=secret"), errno.EACCES, "Permission denied"),
        (ValueError("secret"), errno.EIO, "cannot be read (ValueError)"),
    ],
)
def test_what_stays_is_said_at_once_in_words_of_its_own(error: Exception, number: int, words: str) -> None:
    start = time.monotonic()
    with pytest.raises(OSError, match=re.escape(words)) as said:
        RetryPolicy("s3://b", 60).call(failing(error, 1))
    assert (said.value.errno, said.value.strerror) == (number, words)
    assert time.monotonic() - start < 1


def test_a_server_that_answers_nobody_ends_the_run_and_gives_no_row() -> None:
    with pytest.raises(DataError, match=r"s3://b has not answered for .* run the same command again"):
        RetryPolicy("s3://b", 0.3).call(failing(ConnectionRefusedError(), 99))


def test_a_file_that_fails_while_others_answer_is_that_files_error() -> None:
    retry = RetryPolicy("s3://b", 0.3)
    others = threading.Thread(target=lambda: [retry.call(lambda: time.sleep(0.02)) for _ in range(40)])
    others.start()
    with pytest.raises(OSError, match=r"failed for 0 s \(ConnectionResetError\)"):
        retry.call(failing(ConnectionResetError(), 99))
    others.join()


def test_an_interrupted_run_does_not_wait() -> None:
    retry = RetryPolicy("s3://b", 60)
    retry.call(lambda: "answer")
    threading.Timer(0.2, retry.stop).start()
    start = time.monotonic()
    with pytest.raises(DataError):
        retry.call(failing(ConnectionResetError(), 99))
    assert time.monotonic() - start < 10


PLANTED = "s3cr3t"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("folder/a:b@c", "folder/a:b@c"),
        ("s3://bucket/a b/c.png", "s3://bucket/a b/c.png"),
        (f"https://user:{PLANTED}@host/x y?X-Amz-Signature={PLANTED}", "https://host/x y"),
        (f"--repo=https://{PLANTED}@github.com/a/b", "--repo=https://github.com/a/b"),
        (f"az://container/x?sv=1&sig={PLANTED}", "az://container/x"),
        ("abfs://container@account.dfs.core.windows.net/x", "abfs://container@account.dfs.core.windows.net/x"),
        (f"zip://a/b::https://u:{PLANTED}@h/x.zip?sig={PLANTED}::{PLANTED}", "zip://a/b::https://h/x.zip"),
        ("zip://a::/data/x.zip", "zip://a::/data/x.zip"),
        (f"ssh://git:{PLANTED}@host/repo#{PLANTED}", "ssh://host/repo"),
    ],
)
def test_addresses_are_shown_without_what_is_secret(given: str, shown: str) -> None:
    assert cleaned(given) == shown


def test_an_unknown_kind_of_address_is_refused() -> None:
    pytest.importorskip("fsspec")
    from cxr.remote.store import open_store

    with pytest.raises(UsageError, match="nosuch:// is no kind of address"):
        open_store(["nosuch://a/b"])


@pytest.mark.parametrize(
    ("address", "package", "extra"), [("gs://bucket/x", "gcsfs", "gs"), ("az://box/x", "adlfs", "az")]
)
def test_clouds_that_no_test_can_reach_have_their_filesystem_or_a_sentence(
    address: str, package: str, extra: str
) -> None:
    pytest.importorskip("fsspec")
    import importlib.util

    from cxr.remote.filesystem import class_of

    protocol = address.partition(":")[0]
    if importlib.util.find_spec(package):
        assert class_of(protocol).__module__.partition(".")[0] == package
        return
    with pytest.raises(UsageError) as refused:
        class_of(protocol)
    assert f"pip install '.[{extra}]'" in str(refused.value)


@pytest.mark.parametrize(
    ("address", "module", "extra"),
    [
        ("s3://b/x", "s3fs", "s3"),
        ("https://h/x/", "aiohttp", "http"),
        ("zip://::x.zip", "fsspec", "remote"),
        ("zip://::x.zip", "tenacity", "remote"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(address: str, module: str, extra: str) -> None:
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from cxr.remote.store import open_store\n"
        "from cxr.core.errors import UsageError\n"
        f"try: open_store([{address!r}])\n"
        "except UsageError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"pip install '.[{extra}]'" in done.stdout


def test_an_archive_that_is_none_is_said(tmp_path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("fsspec")
    from cxr.remote.store import open_store

    (tmp_path / "x.zip").write_bytes(b"no archive")
    with pytest.raises(DataError, match="cannot be opened"):
        open_store([f"zip://::{tmp_path}/x.zip"])


def test_local_runs_do_not_load_fsspec() -> None:
    code = (
        "import sys\n"
        "import cxr.cli.batch_run, cxr.screening.run, cxr.screening.discovery\n"
        "remote = {'fsspec', 'dvc', 'aiohttp', 's3fs', 'tenacity', 'platformdirs', 'urllib.request'}\n"
        "print(sorted(remote & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
