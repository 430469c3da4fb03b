"""Work on bytes that nobody vouches for, done in a process that may die.

A decoder written in C can abort, jump to nowhere, run for ever or take all memory there is, and no `except` helps. Here
it does so in a child, which has limits. A child is started when one is needed, serves one thread at a time, is kept for
the next file, and ends when this process does. What it answers is bytes and a text, never a pickle: what it worked on
may have taken it over.
"""

import atexit
import math
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import IO

from cxr.core.errors import ImageError, Reason

FILE_SECONDS = 60.0  # that one file may take; 0: as long as it takes
MEMORY_BYTES = 4 << 30  # of address space: twice what decoding the largest picture that is read takes

_START_SECONDS = 120.0  # to start a child: a busy machine, a slow share
_GRACE_SECONDS = 10.0  # after which a child whose parent was killed ends itself
_MOST_TEXT, _MOST_DATA = 1 << 16, 1 << 30  # bytes of an answer
_PIPE_BYTES = 1 << 20  # what a pipe holds: 64 KiB, as is usual, take twice the time for a radiograph
_SET_PIPE_BYTES = 1031  # F_SETPIPE_SZ of Linux
_REQUEST = struct.Struct("<dQQ")  # seconds, bytes of the pickle, bytes of the data
_ANSWER = struct.Struct("<BQQ")  # kind, bytes of the text, bytes of the data
_DONE, _RAISED, _NO_MEMORY = range(3)
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # the stacks of others would be counted as memory

Answer = tuple[str, bytes | memoryview]


class DecoderError(Exception):
    """What the function raised in the child, as text."""


def isolated(
    function: Callable[..., Answer], data: bytes, *arguments: object, seconds: float = FILE_SECONDS
) -> tuple[str, bytes]:
    """Return `function(data, *arguments)`, computed in a child; where that ends badly, once more in a fresh one.

    Args:
        function: A function of a module, which the child imports; its text and bytes are what comes back.
        data: What it works on.
        arguments: What can be pickled.
        seconds: That it may take, each time; 0: as long as it takes.

    Raises:
        DecoderError: The function raised an exception, whose text this has.
        ImageError: The child crashed, was not done in time or needed too much memory, twice; or `stop` was called.
    """
    request, stops = pickle.dumps((function, arguments), pickle.HIGHEST_PROTOCOL), _stops
    try:
        return _answered(_an_idle_one(), function, request, data, seconds, stops)
    except ImageError:  # perhaps of what earlier files have left there
        if stops != _stops:
            raise
        return _answered(None, function, request, data, seconds, stops)


def stop() -> None:
    """End the children that are at work, so that nobody waits for them any longer."""
    global _stops
    _stops += 1
    for child in list(_busy):
        child.end()


def _answered(
    child: "_Child | None", function: Callable[..., Answer], request: bytes, data: bytes, seconds: float, stops: int
) -> tuple[str, bytes]:
    """Ask a child, or a new one, and keep it where it can be asked again."""
    child = child or _Child(function.__module__, stops)
    try:
        kind, text, found = child.ask(request, data, seconds, stops)
    except BaseException:
        child.close()
        raise
    if kind == _NO_MEMORY:  # what it holds by now is not known
        child.close()
        raise ImageError(Reason.MEMORY, f"decoding needs more than the {_size()} of memory that it may use")
    _idle.append(child)
    if kind == _RAISED:
        raise DecoderError(text)
    return text, found


class _Child:
    """A process that computes what it is asked."""

    def __init__(self, module: str, stops: int) -> None:
        """Start it, with what it will need of `module`; see `ask`. Raises ImageError where that is impossible."""
        start = f"import sys; sys.path[:] = {sys.path!r}; import {module}; from {__name__} import serve; serve()"
        self._late = False
        _mind_forks()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", start],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # decoders write there what they think of a file
                env=os.environ | _ONE_THREAD,
            )
        except OSError as error:
            raise ImageError(Reason.CRASHED, f"its decoder cannot be started: {error.strerror}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        for end in (self._input, self._output):
            _widen(end)
        try:
            self._exchange((), _START_SECONDS, stops)
        except BaseException:
            self.close()
            raise

    def ask(self, request: bytes, data: bytes, seconds: float, stops: int) -> tuple[int, str, bytes]:
        """Return kind, text and bytes of the answer.

        Raises:
            ImageError: There is none, or `stop` was called more than `stops` times by now.
        """
        head = _REQUEST.pack(seconds, len(request), len(data))
        return self._exchange((head + request, data), seconds, stops)

    def _exchange(self, sent: Sequence[bytes], seconds: float, stops: int) -> tuple[int, str, bytes]:
        # A timer works with pipes of every system, and where what is sent is not taken.
        timer = threading.Timer(seconds, self._too_late) if seconds else None
        try:
            _busy.add(self)
            if stops != _stops:  # by whom did not see it among the busy ones yet
                raise ImageError(Reason.CRASHED, "decoding was stopped")
            if timer:
                timer.daemon = True
                timer.start()
            for part in sent:
                self._input.write(part)
            self._input.flush()
            kind, *lengths = _ANSWER.unpack(_exactly(self._output, _ANSWER.size))
            if lengths[0] > _MOST_TEXT or lengths[1] > _MOST_DATA:
                raise EOFError
            text, data = (_exactly(self._output, length) for length in lengths)
            return kind, text.decode("utf-8", "replace"), data
        except (OSError, EOFError) as error:
            raise ImageError(Reason.CRASHED, self._ending(seconds)) from error
        finally:
            _busy.discard(self)
            if timer:
                timer.cancel()

    def _too_late(self) -> None:
        self._late = True
        self.end()

    def end(self) -> None:
        """Have whoever waits for it wait no longer."""
        self._process.kill()

    def _ending(self, seconds: float) -> str:
        """Say how it ended; the limits are named where they may be the cause."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        if self._late:
            return f"decoding was not done after {seconds:g} s"
        status = self._process.returncode
        if status is not None and status < 0:
            how = f"by {signal.Signals(-status).name}" if -status in set(signal.Signals) else f"by signal {-status}"
            return f"its decoder was ended {how}; it may use {_size()} of memory"
        return "its decoder ended without an answer"

    def close(self) -> None:
        """End it, and close what led to it."""
        self.end()
        self._process.wait()
        self.forget()

    def forget(self) -> None:
        """Close this process's ends; at the end of the last copy of its input, the child ends."""
        for end in (self._input, self._output):
            with suppress(OSError):  # of what was not taken
                end.close()
        if self._process.returncode is None:  # it is another process's child, or none of whom anybody asks
            self._process.returncode = 0


def _exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _widen(pipe: IO[bytes]) -> None:
    """Let a pipe hold more, where the system can do that and this process may."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):
            fcntl.fcntl(pipe, _SET_PIPE_BYTES, _PIPE_BYTES)


def _size() -> str:
    return f"{MEMORY_BYTES >> 30} GiB"


# `pop`, `append`, `add` and `discard` are whole, whatever thread calls them.
_idle: list[_Child] = []
_busy: set[_Child] = set()
_stops = 0  # how often `stop` was called


def _an_idle_one() -> _Child | None:
    """Return a child that waits; None where there is none, be it that another thread has just taken the last."""
    try:
        return _idle.pop()
    except IndexError:
        return None


def _end_idle() -> None:
    while child := _an_idle_one():
        child.close()


def _forget_idle() -> None:
    """Leave the children to the process that was forked from."""
    while child := _an_idle_one():
        child.forget()


atexit.register(_end_idle)


@cache
def _mind_forks() -> None:
    """From the first child on, let a process that is forked forget the children."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget_idle)


def serve() -> None:
    """Answer requests until the input ends. The child does nothing else."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # decoders write to what they take for the terminal
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides
    import pydicom.pixels  # noqa: F401  before the clock starts

    _limit_memory()
    _answer(answers, _DONE)
    with suppress(OSError):  # the parent is gone
        while head := requests.read(_REQUEST.size):
            seconds, length, size = _REQUEST.unpack(head)
            request, data = requests.read(length), requests.read(size)
            _limit_time(seconds)
            _answer(answers, *_computed(request, data))
            del data
            _limit_time(0)


def _computed(request: bytes, data: bytes) -> tuple[int, str, bytes | memoryview]:
    try:
        function, arguments = pickle.loads(request)
        return (_DONE, *function(data, *arguments))
    except MemoryError:
        return _NO_MEMORY, "", b""
    except Exception as error:
        return _RAISED, str(error) or type(error).__name__, b""


def _answer(answers: IO[bytes], kind: int, text: str = "", data: bytes | memoryview = b"") -> None:
    told, found = text.encode("utf-8", "replace")[:_MOST_TEXT], memoryview(data)
    answers.write(_ANSWER.pack(kind, len(told), found.nbytes))
    answers.write(told)
    answers.write(found)
    answers.flush()


def _limit_memory() -> None:
    """Limit the address space, and write no image of it to the disk after a crash; where there are such limits."""
    try:
        import resource
    except ImportError:
        return
    for what, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(what)[1]
        with suppress(ValueError, OSError):
            resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _limit_time(seconds: float) -> None:
    """Let the system end this process where nobody else does, because the parent was killed."""
    if hasattr(signal, "alarm"):
        signal.alarm(math.ceil(seconds + _GRACE_SECONDS) if seconds else 0)
