"""Screen beside a crew: each takes a few files at a time, and this process writes down what all of them did."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cxr.screening.ahead import IN_TURN
from cxr.screening.crew import Crew, Share
from cxr.screening.duty import duty_of
from cxr.screening.engine import record_of, screen
from cxr.screening.work import Watcher, Work

if TYPE_CHECKING:
    from cxr.screening.engines import Done, Log

MOST_AHEAD = 8  # slices that a helper has before it: what it does while this process has a large file


class _Slices:
    """What is left to do, a batch at a time."""

    def __init__(self, todo: Sequence[int], size: int) -> None:
        self._todo, self._size, self._next = todo, size, 0
        self.returned: deque[Sequence[int]] = deque()

    def left(self) -> int:
        """Return the number of slices."""
        return len(self.returned) - (self._next - len(self._todo)) // self._size

    def take(self) -> Sequence[int]:
        """Return the next one; empty where there is none."""
        if self.returned:
            return self.returned.popleft()
        some = list(self._todo[self._next : self._next + self._size])
        self._next += len(some)
        return some


def together(crew: Crew, log: "Log", work: Work, todo: Sequence[int], watcher: Watcher) -> "Iterator[Done]":
    """Screen the candidates numbered `todo` with the crew, and give what is in the log, in any order.

    Nobody waits for anybody until the end, where shares become small. What a helper had that is no more is done by the
    others.
    """
    slices = _Slices(todo, work.batch)
    try:
        crew.begin(duty_of(work))
        while True:
            _feed(crew, slices)
            mine = slices.take()
            if mine:
                yield _own(mine, log, work, watcher)
            if not mine and not crew.busy:
                return
            for share in crew.done(waiting=not mine):
                if isinstance(share, Share):
                    own = [work.selection.candidates[number].cell for number in share.numbers]
                    assert [record["path"] for record in share.records] == own, "records of other files"
                    yield share.numbers, log.append(share.records)
                    watcher.screened(share.failed)
                    watcher.advanced(len(share.numbers) - len(share.failed))
                else:
                    slices.returned.append(share)
            while crew.lost:
                watcher.lost(crew.lost.pop())
    finally:
        crew.dismiss()


def _feed(crew: Crew, slices: _Slices) -> None:
    """Give the helpers their shares: fewer ahead when little is left, so that all end at the same time."""
    ahead = min(MOST_AHEAD, max(2, slices.left() // (4 * (len(crew) + 1))))
    while len(crew) and crew.least() < ahead and (some := slices.take()):
        crew.give(some)


def _own(numbers: Sequence[int], log: "Log", work: Work, watcher: Watcher) -> "Done":
    some = [work.selection.candidates[number] for number in numbers]
    batches = screen(some, work.asked.naming.root, work.models, IN_TURN, work.keywords)
    outcomes = [outcome for batch in batches for outcome in batch]
    places = log.append([record_of(outcome, work.schema) for outcome in outcomes])
    watcher.screened(outcomes)
    return numbers, places
