"""How long two networks take beside each other: in turns, so that a busy machine slows both."""

import time
from collections.abc import Callable

import numpy as np

from cxr.files import JsonObject
from cxr.network import Network
from cxr.planes import Plane

ROUNDS = 15
PLANES = 64  # at most, a round

Clock = Callable[[], float]


def time_beside(new: Network, old: Network, planes: Plane, clock: Clock = time.perf_counter) -> JsonObject:
    """Time both networks over the same planes, in turns.

    Args:
        new: The one whose speed is asked for.
        old: The one that it is compared with.
        planes: uint8 (n, side, side); the first PLANES are taken.
        clock: Gives seconds.

    Returns:
        `new` and `old`, milliseconds an image, and `ratio`, how many times faster the new one is: each with
        `median`, `low` and `high` quartile over ROUNDS. A ratio is taken within a round.
    """
    some = np.ascontiguousarray(planes[:PLANES])
    for network in (new, old):
        network.logits(some)  # the first run allocates
    seconds = np.array([[_seconds(network, some, clock) for network in (new, old)] for _ in range(ROUNDS)])
    milliseconds = 1000 * seconds / len(some)
    return {
        "new": _quartiles(milliseconds[:, 0]),
        "old": _quartiles(milliseconds[:, 1]),
        "ratio": _quartiles(seconds[:, 1] / seconds[:, 0]),
    }


def _seconds(network: Network, planes: Plane, clock: Clock) -> float:
    start = clock()
    network.logits(planes)
    return clock() - start


def _quartiles(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> JsonObject:
    low, median, high = np.percentile(values, [25, 50, 75])
    return {"median": round(float(median), 4), "low": round(float(low), 4), "high": round(float(high), 4)}
