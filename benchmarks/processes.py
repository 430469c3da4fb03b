"""Processes: what a whole one takes in seconds and memory, seen from outside; and one that answers questions."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

POLL = 0.002  # seconds; looking at one file so often costs a hundredth of a core
SAMPLE = 0.01


class Dialogue:
    """A process that answers each line on its stdin with a line on its stdout."""

    def __init__(self, command: Sequence[str | Path], *, quiet: bool = False) -> None:
        self._command = command
        self._process: subprocess.Popen[str] = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            text=True,
        )

    def ask(self, question: str) -> str:
        assert self._process.stdin
        print(question, file=self._process.stdin, flush=True)
        return self.answer()

    def answer(self) -> str:
        """Wait for a line; a process may say one unasked."""
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"{self._command} ended before it answered")
        return line

    def close(self) -> None:
        self._process.communicate()


@dataclass(frozen=True)
class Timed:
    """A whole process.

    Attributes:
        seconds: From its start to its end.
        first: Seconds from its start to the first answer that could be seen from outside.
    """

    seconds: float
    first: float


def timed(command: Sequence[str | Path], answered: Callable[[], bool]) -> Timed:
    """Run `command` to its end; `answered` says whether its first answer is there."""
    start, first = time.perf_counter(), 0.0
    with _started(command) as process:
        while process.poll() is None:
            if not first and answered():
                first = time.perf_counter() - start
            time.sleep(POLL)
        seconds = time.perf_counter() - start
    if not first:
        raise RuntimeError(f"{command[0]} ended, and its first answer was never seen")
    return Timed(seconds, first)


def peak_megabytes(command: Sequence[str | Path]) -> float:
    """Run `command` and return the most memory of its processes together, sampled.

    Pages that several of them share count once. Never less than the high-water mark of the first process, which misses
    nothing. Sampling takes time from the command: it is not for a run whose seconds count.
    """
    peak = 0
    with _started(command) as process:
        while process.poll() is None:
            peak = max(peak, memory_of(process.pid), _high_water(process.pid))
            time.sleep(SAMPLE)
    return peak / 1e6


def memory_of(pid: int) -> int:
    """Return what a process and those below it have of the memory, in bytes; 0 where it has ended.

    That is their proportional set size (PSS): a page that n processes share, as forked ones and those of one object
    store do, is a page of memory and not n of them. Where the system does not tell it, the resident memory.
    """
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for process in tree:
        try:
            found = process.memory_full_info()
            total += getattr(found, "pss", found.rss)
        except (psutil.NoSuchProcess, psutil.AccessDenied):  # ended since it was listed
            continue
    return total


def _high_water(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):  # ended, or no Linux
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


@contextmanager
def _started(command: Sequence[str | Path]) -> Iterator["subprocess.Popen[bytes]"]:
    with tempfile.TemporaryFile() as said:  # no pipe: nobody would empty it
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said) as process:
            yield process
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{command} ended with {process.returncode}:\n{said.read().decode(errors='replace')}")
