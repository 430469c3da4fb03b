"""Ask a server again while it does not answer, ever more rarely, and not for ever."""

import errno
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from cxr.errors import DataError

PATIENCE = 120.0  # seconds in all for one request
FIRST_PATIENCE = 30.0  # until there has been any answer at all: an address may be wrong
FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0  # seconds; doubled in between

Answer = TypeVar("Answer")

# Errors of a network, by the libraries that raise them: not all of them are OSErrors.
_NETWORKS = ("aiohttp", "aiobotocore", "botocore", "urllib3", "requests", "http", "google", "gcsfs", "azure", "fsspec")
_LOST = ("Connect", "Timeout", "TimedOut", "Payload", "IncompleteRead", "Disconnected", "gaierror", "HTTPClientError")
_AGAIN = frozenset({408, 425, 429})  # of the HTTP states below 500


class Patience:
    """One store's requests: how long each is tried, and whether the connection of all of them is lost."""

    def __init__(self, address: str, seconds: float | None = None) -> None:
        self.address = address
        self.seconds = PATIENCE if seconds is None else seconds
        self._stopped = threading.Event()
        self._answered = 0.0  # when a request last succeeded, of the monotonic clock

    def __reduce__(self) -> tuple[type["Patience"], tuple[str, float]]:
        return Patience, (self.address, self.seconds)

    def stop(self) -> None:
        """End every wait; a request that fails from now on is not tried again."""
        self._stopped.set()

    def ask(self, request: Callable[[], Answer]) -> Answer:
        """Return the answer to a request, which is made again while the network or the server fails.

        Raises:
            OSError: It fails for good; `strerror` is for people and names neither address nor credentials.
            DataError: Nothing at the address has answered for as long as this was tried.
        """
        start, delay = time.monotonic(), FIRST_DELAY
        while True:
            try:
                answer = request()
            except Exception as error:  # every filesystem has errors of its own
                if isinstance(error, MemoryError | DataError):
                    raise
                if not _is_passing(error):
                    raise _final(error) from None
                wait = delay * random.uniform(0.7, 1)
                limit = self.seconds if self._answered else min(self.seconds, FIRST_PATIENCE)
                if time.monotonic() - start + wait > limit or self._stopped.wait(wait):
                    raise self._given_up(error, start, limit) from None
                delay = min(2 * delay, LONGEST_DELAY)
            else:
                self._answered = time.monotonic()
                return answer

    def _given_up(self, error: Exception, start: float, limit: float) -> Exception:
        """A server that answers others has a bad file; of one that answers nobody, no row can say anything."""
        if _is_lost(error) and self._answered < start:
            return DataError(
                f"{self.address} has not answered for {limit:.0f} s; what was done is kept: when the connection "
                "is back, run the same command again to go on"
            )
        return OSError(errno.EIO, f"the server failed for {limit:.0f} s ({type(error).__name__})")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _is_lost(error: Exception) -> bool:
    """Tell whether no answer came at all."""
    names = [kind.__name__ for one in _chain(error) for kind in type(one).__mro__]
    return any(isinstance(one, ConnectionError | TimeoutError) for one in _chain(error)) or any(
        part in name for name in names for part in _LOST
    )


def _is_passing(error: Exception) -> bool:
    """Tell whether another try may succeed."""
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
        return False
    if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"):
        return False
    state = getattr(error, "status", None) or getattr(error, "code", None)
    if isinstance(state, int) and 400 <= state < 500:
        return state in _AGAIN
    network = any(kind.__module__.partition(".")[0] in _NETWORKS for kind in type(error).__mro__)
    return isinstance(error, OSError | EOFError) or network or _is_lost(error)


def _final(error: Exception) -> OSError:
    """Return what a file system would say; never the error's own words, which may hold an address or a key."""
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    state = getattr(error, "status", None)
    if isinstance(error, PermissionError) or state in (401, 403):
        return PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if state in (404, 410):
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if type(error).__name__ == "NoCredentialsError":
        return PermissionError(errno.EACCES, "no credentials were found")
    said = f"the server refused it (HTTP {state})" if isinstance(state, int) else f"cannot be read ({_name(error)})"
    return OSError(errno.EIO, said)


def _name(error: Exception) -> str:
    return type(error).__name__
