"""Let a number of threads at a time do something; in another process, as many there."""

import threading
from types import TracebackType


class Turns:
    """A semaphore that can be sent to another process, where it starts anew."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._turns = threading.Semaphore(number)

    def __reduce__(self) -> tuple[type["Turns"], tuple[int]]:
        return Turns, (self._number,)

    def __enter__(self) -> None:
        self._turns.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turns.release()
