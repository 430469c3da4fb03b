"""What is said after each fold, and how long the others will take."""

import time
from collections.abc import Callable
from datetime import timedelta


class FoldLines:
    """One line a fold. The time left goes by the slower half of the folds: those that the run cache had say nothing."""

    def __init__(self, folds: int, seeds: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to measure the first fold's time; `clock` gives seconds."""
        self._folds, self._total, self._clock = folds, folds * seeds, clock
        self._last, self._taken = clock(), list[float]()

    def after(self, fold: int, seed: int) -> str:
        """Return the line for a fold, numbered from 0, that is done now."""
        now = self._clock()
        self._taken.append(now - self._last)
        self._last = now
        slower = sorted(self._taken)[len(self._taken) // 2 :]
        left = (self._total - len(self._taken)) * sum(slower) / len(slower)
        return (
            f"seed {seed}, fold {fold + 1} of {self._folds}: {_duration(self._taken[-1])}, "
            f"{len(self._taken)} of {self._total} done, left {_duration(left)}"
        )


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
