"""What a training says of itself on its last line: seconds and CPU seconds since TensorFlow was there."""

import json
import resource
import time


class Clock:
    """Starts when it is made."""

    def __init__(self) -> None:
        self._start, self._cpu = time.perf_counter(), _cpu()

    def say(self, val_accuracy: float) -> None:
        """Print the line; to be called when the weights are trained."""
        seconds, cpu = time.perf_counter() - self._start, _cpu() - self._cpu
        print(json.dumps({"seconds": seconds, "cpu": cpu, "val_accuracy": float(val_accuracy)}))


def _cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)
