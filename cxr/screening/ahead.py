"""Work ahead on threads: a bounded number of items in front of whoever takes the results, in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

IN_TURN = -1
Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def _pool(workers: int, stop: Callable[[], None]) -> Iterator[ThreadPoolExecutor]:
    """Stop without working off the queue, so that Ctrl-C ends after the files that are being decoded."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        yield pool
    except BaseException:
        stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def work_ahead(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    ahead: int,
    stop: Callable[[], None] = lambda: None,
) -> Generator[Result, None, None]:
    """Give `work(item)` for each item, in order; at most `ahead` of them are queued, in work or waiting.

    With `workers` IN_TURN nothing is worked ahead: each item is worked on when its result is asked for.
    `stop` is called where this ends early, before what is in work is waited for.
    """
    if workers == IN_TURN:
        yield from map(work, items)
        return
    with _pool(workers, stop) as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
