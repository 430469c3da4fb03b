"""Processes that screen beside this one, each a core.

Threads of one interpreter wait for one another between the pieces that run without its lock; processes do not. They
are forked before this one has threads, so that they share what it has loaded, and wait for their duty.
"""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait

from cxr.files import JsonObject
from cxr.model_folder import ScreeningModel
from cxr.screening.candidates import Candidate
from cxr.screening.duty import Duty
from cxr.screening.engine import Outcome
from cxr.screening.helper import help_with

PATIENCE = 5.0  # seconds that a helper has to end after it is dismissed


@dataclass(frozen=True, slots=True)
class Share:
    """What a helper did.

    Attributes:
        numbers: Of the candidates.
        records: Of each, in that order.
        failed: Outcomes of those that have no answer.
    """

    numbers: Sequence[int]
    records: Sequence[JsonObject]
    failed: Sequence[Outcome]


@dataclass(slots=True)
class _Helper:
    process: multiprocessing.process.BaseProcess
    connection: Connection
    given: deque[Sequence[int]] = field(default_factory=deque)


class Crew:
    """Helpers of one run."""

    def __init__(self, size: int, candidates: Sequence[Candidate], load: Callable[[], list[ScreeningModel]]) -> None:
        """Fork `size` helpers, who load the networks at once; nothing may have started a thread before.

        Args:
            size: How many.
            candidates: Of which numbers are given.
            load: Gives the networks, for one core.
        """
        context = multiprocessing.get_context("fork")
        self._helpers: list[_Helper] = []
        for _ in range(size):
            ours, theirs = context.Pipe()
            ends = [helper.connection for helper in self._helpers] + [ours]
            process = context.Process(target=help_with, args=(theirs, ends, candidates, load), daemon=True)
            process.start()
            theirs.close()
            self._helpers.append(_Helper(process, ours))
        self.lost: list[str] = []

    def begin(self, duty: Duty) -> None:
        """Tell the helpers what they have to do."""
        for helper in self._helpers:
            self._send(helper, duty)

    def __len__(self) -> int:
        """Return how many helpers are there."""
        return len(self._helpers)

    @property
    def busy(self) -> bool:
        """Whether a helper has something that it has not given back."""
        return any(helper.given for helper in self._helpers)

    def least(self) -> int:
        """Return how many slices the helper has that has least of them."""
        return min((len(helper.given) for helper in self._helpers), default=0)

    def give(self, numbers: Sequence[int]) -> None:
        """Give candidates to the helper that has least to do."""
        helper = min(self._helpers, key=lambda one: len(one.given))
        helper.given.append(numbers)
        self._send(helper, numbers)

    def done(self, *, waiting: bool) -> Iterator[Share | Sequence[int]]:
        """Give what helpers did since, and the numbers that one had who is no more, of which `lost` tells.

        Args:
            waiting: Until there is something.
        """
        of = {helper.connection: helper for helper in self._helpers}
        for ready in wait(list(of), None if waiting else 0):
            assert isinstance(ready, Connection)
            helper = of[ready]
            try:
                records, failed = ready.recv()
            except (EOFError, OSError):
                self._helpers.remove(helper)
                helper.connection.close()
                helper.process.join(PATIENCE)
                self.lost.append(_ending(helper.process.exitcode))
                yield from helper.given
            else:
                yield Share(helper.given.popleft(), records, failed)

    def dismiss(self) -> None:
        """End the helpers: those at work finish the few files that they have, whose rows are lost."""
        for helper in self._helpers:
            helper.connection.close()
        for helper in self._helpers:
            helper.process.join(PATIENCE)
            if helper.process.is_alive():
                helper.process.kill()
                helper.process.join()
        self._helpers.clear()

    def _send(self, helper: _Helper, what: object) -> None:
        with suppress(OSError):  # it is gone; `done` finds out and says so
            helper.connection.send(what)


def _ending(status: int | None) -> str:
    if status is not None and status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
