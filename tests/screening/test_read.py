import threading
import time

import pytest

from cxr.screening.read import IN_TURN, prefetch


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    def work(item: int) -> int:
        time.sleep(0.0005 * (item % 5))
        return item * 10

    assert list(prefetch(work, range(50), workers, ahead=20)) == [item * 10 for item in range(50)]


def test_no_more_items_are_worked_ahead_than_allowed() -> None:
    lock, started = threading.Lock(), 0

    def work(item: int) -> int:
        nonlocal started
        with lock:
            started += 1
        return item

    results = prefetch(work, range(100), workers=2, ahead=10)
    for taken in range(1, 20):
        next(results)
        time.sleep(0.001)
        assert started <= taken + 10
    results.close()


def test_closing_early_does_not_work_off_the_queue() -> None:
    started: list[int] = []

    def work(item: int) -> None:
        started.append(item)
        time.sleep(0.005)

    results = prefetch(work, range(100), workers=1, ahead=90)
    next(results)
    results.close()
    assert len(started) < 45


def test_an_exception_of_the_work_reaches_whoever_takes_the_results() -> None:
    def work(item: int) -> int:
        return 1 // item

    with pytest.raises(ZeroDivisionError):
        list(prefetch(work, [1, 0, 1], workers=2, ahead=2))


def test_in_turn_nothing_is_worked_ahead() -> None:
    seen: list[int] = []

    def work(item: int) -> int:
        seen.append(item)
        return item * item

    results = prefetch(work, range(3), IN_TURN, 8)
    assert next(results) == 0
    assert seen == [0]
    assert list(results) == [1, 4]
