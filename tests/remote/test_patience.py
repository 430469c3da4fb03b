import errno
import re
import threading
import time
from collections.abc import Callable

import pytest

from cxr.errors import DataError
from cxr.remote.patience import Patience


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
    assert Patience("s3://b", 5).ask(failing(error, 3)) == "answer"


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
        Patience("s3://b", 60).ask(failing(error, 1))
    assert (said.value.errno, said.value.strerror) == (number, words)
    assert time.monotonic() - start < 1


def test_a_server_that_answers_nobody_ends_the_run_and_gives_no_row() -> None:
    with pytest.raises(DataError, match=r"s3://b has not answered for .* run the same command again"):
        Patience("s3://b", 0.3).ask(failing(ConnectionRefusedError(), 99))


def test_a_file_that_fails_while_others_answer_is_that_files_error() -> None:
    patience = Patience("s3://b", 0.3)
    others = threading.Thread(target=lambda: [patience.ask(lambda: time.sleep(0.02)) for _ in range(40)])
    others.start()
    with pytest.raises(OSError, match=r"failed for 0 s \(ConnectionResetError\)"):
        patience.ask(failing(ConnectionResetError(), 99))
    others.join()


def test_an_interrupted_run_does_not_wait() -> None:
    patience = Patience("s3://b", 60)
    patience.ask(lambda: "answer")
    threading.Timer(0.2, patience.stop).start()
    start = time.monotonic()
    with pytest.raises(DataError):
        patience.ask(failing(ConnectionResetError(), 99))
    assert time.monotonic() - start < 10
