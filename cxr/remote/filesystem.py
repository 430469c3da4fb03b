"""The filesystem of an address, with the user's own credentials; requests tried again; finished tables sent."""

import errno
import hashlib
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from cxr.core.errors import DataError, OutputError, UsageError
from cxr.core.files import make_folder
from cxr.screening.paths import cleaned, is_address
from cxr.screening.tables import OutputFiles

# Which extra of this package brings what an address needs; None: fsspec alone, which every one of them brings.
EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "az"),
    **dict.fromkeys(("http", "https"), "http"),
    "dvc": "pipeline",
}
PLAIN = "remote"
CONNECT_SECONDS, READ_SECONDS = 10, 30
CONNECTIONS = 64  # more than threads, or they would wait for each other
# One request a file: s3fs would ask for the size of each before it reads it in pieces.
OPTIONS: dict[str, Mapping[str, object]] = {
    "s3": {"max_concurrency": 1, "config_kwargs": {"max_pool_connections": CONNECTIONS}},
}
_TALKATIVE = ("asyncio", "fsspec", "s3fs", "botocore", "aiobotocore", "gcsfs", "adlfs", "azure", "dvc", "dvc_objects")


def protocol_of(address: str) -> str:
    """Return the scheme of an address, of an archive's: that of the outermost, such as `zip`."""
    return address.partition("://")[0].lower()


def class_of(protocol: str) -> type[Any]:
    """Return the class that reads addresses of a protocol.

    Raises:
        UsageError: No filesystem is called so, or its package is not installed; says what to install.
    """
    try:
        import tenacity  # noqa: F401  every request needs it
        from fsspec import get_filesystem_class

        return get_filesystem_class(protocol)  # type: ignore[no-any-return]
    except ValueError:
        raise UsageError(
            f"{protocol}:// is no kind of address that fsspec knows; expected one such as s3://, gs://, az://, "
            "https:// or zip://, or a local path"
        ) from None
    except ImportError as error:
        raise UsageError(missing(protocol, error)) from None


def missing(protocol: str, error: ImportError) -> str:
    """Say what to install for addresses of a protocol."""
    extra = EXTRAS.get(protocol, PLAIN)
    if extra == PLAIN and error.name not in ("fsspec", "tenacity"):
        name = (error.name or "").partition(".")[0]
        needed = f"the package that fsspec names for them: {error}" if not name else f"the package {name}"
        return f"addresses of {protocol}:// need {needed}; install it beside cxr-batch"
    return f"addresses of {protocol}:// need the extra '{extra}': pip install '.[{extra}]'"


def filesystem_of(address: str) -> tuple[Any, str]:
    """Return the filesystem of an address and its path there.

    Raises:
        UsageError: There is no such kind of address, a package is absent, or the address makes no sense.
        DataError: The archive at the address cannot be opened.
    """
    hush()
    protocols = [protocol_of(part) for part in address.split("::") if is_address(part)]
    for protocol in protocols:
        class_of(protocol)
    from fsspec.core import url_to_fs

    try:
        fs, path = url_to_fs(address, **_options(protocols))
    except ImportError as error:
        raise UsageError(missing(protocol_of(address), error)) from None
    except Exception as error:  # whatever a package raises; its words may hold the credentials
        raise DataError(f"{cleaned(address)} cannot be opened{_why_unopened(error)}") from None
    return fs, path


def _why_unopened(error: Exception) -> str:
    meant = _meant(error)
    if (state := _state(meant)) and state not in _GONE:
        return f": {_answer(state)}"
    if _is_lost(meant):
        return _why_lost(meant) or ": it does not answer"
    if isinstance(error, FileNotFoundError | PermissionError):
        return f": {error.strerror or 'it is not there'}"
    return f" ({type(error).__name__}); expected an address that fsspec reads"


def _options(protocols: Sequence[str]) -> dict[str, Mapping[str, object]]:
    known = {name: OPTIONS[name] for name in protocols if name in OPTIONS}
    if not {"http", "https"}.isdisjoint(protocols):
        from aiohttp import ClientTimeout

        # aiohttp would wait five minutes for a server that has gone away without a word.
        waits = {"timeout": ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)}
        known |= {name: {"client_kwargs": waits} for name in protocols if name in ("http", "https")}
    return known


def hush() -> None:
    """Keep what the packages log, which may hold addresses as they were given, from the terminal."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


RETRY_SECONDS = 120.0  # seconds in all for one request
FIRST_RETRY_SECONDS = 30.0  # until there has been any answer at all: an address may be wrong
FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0  # seconds; doubled in between, and each is drawn from 0 up to that

Response = TypeVar("Response")

# Errors of a network, by the libraries that raise them: not all of them are OSErrors.
_NETWORKS = ("aiohttp", "aiobotocore", "botocore", "urllib3", "requests", "http", "google", "gcsfs", "azure", "fsspec")
_LOST = ("Connect", "Timeout", "TimedOut", "Payload", "IncompleteRead", "Disconnected", "gaierror", "HTTPClientError")
_AGAIN = frozenset({408, 425, 429})  # of the HTTP states below 500
_DENIED, _GONE = (401, 403), (404, 410)
_PHRASES = {state.value: state.phrase for state in HTTPStatus}


class RetryPolicy:
    """One store's requests: how long each is tried, and whether the connection of all of them is lost."""

    def __init__(self, address: str, seconds: float | None = None) -> None:
        self.address = address
        self.seconds = RETRY_SECONDS if seconds is None else seconds
        self._stopped = threading.Event()
        self._answered = 0.0  # when a request last succeeded, of the monotonic clock

    def __reduce__(self) -> tuple[type["RetryPolicy"], tuple[str, float]]:
        return RetryPolicy, (self.address, self.seconds)

    def stop(self) -> None:
        """End every wait; a request that fails from now on is not tried again."""
        self._stopped.set()

    def call(self, request: Callable[[], Response]) -> Response:
        """Return the answer to a request, which is made again while the network or the server fails.

        Raises:
            OSError: It fails for good; `strerror` is for people and names neither address nor credentials.
            DataError: Nothing at the address has answered for as long as this was tried.
        """
        import tenacity as t

        start, limit = time.monotonic(), self.seconds if self._answered else min(self.seconds, FIRST_RETRY_SECONDS)
        try:
            answer = t.Retrying(
                retry=t.retry_if_exception(_is_passing),
                wait=t.wait_random_exponential(FIRST_DELAY, LONGEST_DELAY),
                stop=t.stop_when_event_set(self._stopped) | t.stop_before_delay(limit),
                sleep=t.sleep_using_event(self._stopped),
            )(lambda: _asked(request))
        except t.RetryError as failed:
            raise self._given_up(failed.last_attempt.exception(), start, limit) from None
        except (MemoryError, DataError):
            raise
        except Exception as error:  # every filesystem has errors of its own
            raise _final(error) from None
        self._answered = time.monotonic()
        return answer

    def _given_up(self, error: BaseException | None, start: float, limit: float) -> Exception:
        """A server that answers others has a bad file; of one that answers nobody, no row can say anything."""
        if _is_lost(error) and self._answered < start:
            return DataError(
                f"{self.address} has not answered for {limit:.0f} s{_why_lost(error)}; what was done is kept: when the "
                "connection is back, run the same command again to go on"
            )
        state = _state(error)
        said = f"HTTP {state}" if state else type(error).__name__
        return OSError(errno.EIO, f"the server failed for {limit:.0f} s ({said})")


def _asked(request: Callable[[], Response]) -> Response:
    """Make a request; raise what went wrong, where fsspec calls something else a file that is not there."""
    try:
        return request()
    except FileNotFoundError as error:
        meant = _meant(error)
        if meant is error:
            raise
        raise meant  # noqa: B904  its own cause says why


def _meant(error: BaseException) -> BaseException:
    """Return what went wrong: fsspec says of every web address that it learns nothing about that it is not there."""
    cause = error.__cause__
    if not isinstance(error, FileNotFoundError) or cause is None:
        return error
    return cause if hasattr(cause, "status") or _is_lost(cause) else error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _is_lost(error: BaseException | None) -> bool:
    """Tell whether no answer came at all."""
    names = [kind.__name__ for one in _chain(error) for kind in type(one).__mro__]
    return any(isinstance(one, ConnectionError | TimeoutError) for one in _chain(error)) or any(
        part in name for name in names for part in _LOST
    )


def _why_lost(error: BaseException | None) -> str:
    """Say why no answer came, after a colon; nothing where that is not known."""
    chain = list(_chain(error))
    if any(isinstance(one, socket.gaierror) or "DNS" in type(one).__name__ for one in chain):
        return ": its name cannot be resolved"
    if any(isinstance(one, OSError) and one.errno == errno.ECONNREFUSED for one in chain):
        return ": the connection is refused"
    return ": no secure connection can be made" if any(isinstance(one, ssl.SSLError) for one in chain) else ""


def _state(error: BaseException | None) -> int | None:
    """Return the HTTP state that a server answered with, where that is no success."""
    state = getattr(error, "status" if hasattr(error, "status") else "code", None)
    return state if isinstance(state, int) and 300 <= state < 600 else None


def _answer(state: int) -> str:
    phrase = _PHRASES.get(state)
    return f"the server answered HTTP {state}{f' ({phrase})' if phrase else ''}"


def answer_of(error: OSError) -> str:
    """Return what a server answered to a request that failed for good; the error's own words where it did not say."""
    state = next((state for one in _chain(error) if (state := _state(one))), None)
    return error.strerror or str(error) if state is None else _answer(state)


def _is_passing(error: BaseException) -> bool:
    """Tell whether another try may succeed."""
    if isinstance(error, MemoryError | DataError) or not isinstance(error, Exception):
        return False
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
        return False
    if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"):
        return False
    state = _state(error)
    if state and state < 500:  # 300 and above: addresses that lead to each other
        return state in _AGAIN
    network = any(kind.__module__.partition(".")[0] in _NETWORKS for kind in type(error).__mro__)
    return isinstance(error, OSError | EOFError) or network or _is_lost(error)


def _final(error: Exception) -> OSError:
    """Return what a file system would say; never the error's own words, which may hold an address or a key."""
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    state = getattr(error, "status", None)
    if isinstance(error, PermissionError) or state in _DENIED:
        return PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if state in _GONE:
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if type(error).__name__ == "NoCredentialsError":
        return PermissionError(errno.EACCES, "no credentials were found")
    said = (
        f"the server refused it (HTTP {state})"
        if isinstance(state, int)
        else f"cannot be read ({type(error).__name__})"
    )
    return OSError(errno.EIO, said)


# Where a name shows either the whole new file or the older one, whatever happens while it is sent.
ATOMIC = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")
READ_ONLY = ("http", "https", "zip", "tar", "dvc", "git", "github", "libarchive")


def cache_folder() -> Path:
    """Return the folder below the user's cache folder where this package keeps what may be deleted.

    Raises:
        OutputError: The user has no home.
    """
    from platformdirs import user_cache_path

    try:
        folder = user_cache_path("cxr-batch", appauthor=False, opinion=False)
    except RuntimeError:  # of newer versions; older ones give a folder named ~
        folder = Path("~")
    if not folder.is_absolute():
        raise OutputError("this user has no home folder: name one for what may be deleted with XDG_CACHE_HOME")
    return folder


def scratch_results(address: str, scratch: Path | None) -> Path:
    """Return where the table for an address is made: by default in a folder that the address alone names.

    Raises:
        UsageError: The address names no file, nothing can be written there, or a package is not installed.
        OutputError: The folder cannot be made.
    """
    shown = cleaned(address)
    name = shown.partition("::")[0].rpartition("/")[2]
    if not name:
        raise UsageError(f"-o {shown} names no file; give a name, as in: -o {shown}results.csv")
    if protocol_of(address) in READ_ONLY or "::" in address:
        raise UsageError(f"-o {shown}: nothing can be written to addresses of this kind; give a file or a bucket")
    class_of(protocol_of(address))
    digest = hashlib.sha256(shown.encode()).hexdigest()[:16]
    folder = scratch or cache_folder() / "output" / digest
    try:
        make_folder(folder)
    except OutputError as error:
        raise OutputError(f"{error}, or give another folder with --scratch") from error
    return folder / name


def own_addresses(address: str, files: OutputFiles) -> frozenset[str]:
    """Return the addresses that the run writes."""
    folder = cleaned(address).rpartition("/")[0]
    return frozenset(f"{folder}/{path.name}" for path in (files.results, files.manifest))


class Upload:
    """Where a finished table goes."""

    def __init__(self, address: str, files: OutputFiles, seconds: float | None = None) -> None:
        """Open the place. Raises UsageError or DataError where that cannot be."""
        self.address, self.files = cleaned(address), files
        self._fs, self._path = filesystem_of(address)
        self._retry = RetryPolicy(self.address, seconds)
        self._atomic = protocol_of(address) in ATOMIC

    def check(self, *, overwrite: bool) -> None:
        """Refuse to replace a table that this machine does not go on with.

        Raises:
            OutputError: There is one, or the place cannot be read.
        """
        if overwrite or self.files.journal.exists() or self.files.parts.exists():
            return
        try:
            there = self._retry.call(lambda: self._fs.exists(self._path))
        except OSError as error:
            raise OutputError(f"{self.address} cannot be reached: {error.strerror}") from error
        if there:
            raise OutputError(
                f"{self.address} exists, but {self.files.results.parent} has no journal that tells how it was made: "
                "give another output, name the folder of its journal with --scratch, or replace it with --overwrite"
            )

    def send(self) -> None:
        """Send the table, then its manifest.

        Raises:
            OutputError: It cannot be sent; it is whole in the local folder.
        """
        folder = self._path.rpartition("/")[0]
        try:
            for local, path in (
                (self.files.results, self._path),
                (self.files.manifest, f"{folder}/{self.files.manifest.name}"),
            ):
                self._retry.call(lambda local=local, path=path: self._put(local, path))  # type: ignore[misc]
        except OSError as error:
            raise OutputError(
                f"cannot write {self.address}: {error.strerror}; the table is whole in {self.files.results.parent}: "
                "run the same command again to send it"
            ) from error

    def _put(self, local: Path, path: str) -> None:
        fs: Any = self._fs
        if self._atomic:
            fs.put_file(str(local), path)
            return
        parent = path.rpartition("/")[0]
        if parent:
            fs.makedirs(parent, exist_ok=True)
        fs.put_file(str(local), f"{path}.part")
        if fs.exists(path):  # not every filesystem moves onto an older file
            fs.rm_file(path)
        fs.mv(f"{path}.part", path)
