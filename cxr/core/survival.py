"""A run that goes on where its process has died of a file.

Decoders are C: one that crashes ends its process, and no `except` helps. So what was started does nothing but wait for
a child, which does the run. Where a signal of a crash ends that after its decoders have begun, another child goes on,
which knows: it decodes nothing in its own process. Linux alone can.
"""

import ctypes
import io
import os
import signal
import sys
from mmap import mmap
from typing import TYPE_CHECKING, BinaryIO, NoReturn, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

if sys.platform == "linux":
    _CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE})
    _PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl
_DECODES = 0  # the byte that says so
_LINES = slice(8, 16)  # how many were written to stdout

_shared: mmap | None = None  # what is left of a child; None where nothing watches
_kept_input = -1  # descriptor of what stdin held
_ending = ""


def survive() -> None:
    """Do what follows in a child, and where that crashes, once more in another; return in the children alone."""
    global _shared, _kept_input, _ending
    if sys.platform != "linux":
        return
    _shared = mmap(-1, 16)
    if hasattr(os, "memfd_create"):  # a Python that was built for an old system has none
        _kept_input = os.memfd_create("stdin")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (*_PASSED_ON, signal.SIGCHLD))
    parent = os.getpid()
    while (child := os.fork()) > 0:
        status = _waited(child)
        if _ending or not _shared[_DECODES] or not os.WIFSIGNALED(status) or os.WTERMSIG(status) not in _CRASHES:
            _end_as(status)
        _ending = f"was ended by {signal.Signals(os.WTERMSIG(status)).name}"
    _tie_to(parent)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ending() -> str:
    """Return how the process ended that did this run before; empty where none did."""
    return _ending


def decoding() -> None:
    """Note that a decoder works in this process, which may crash."""
    if _shared is not None:
        _shared[_DECODES] = 1


def read_stdin() -> bytes:
    """Return all of stdin, also where a process has read it that has died."""
    global _shared
    if _ending:
        return os.pread(_kept_input, os.fstat(_kept_input).st_size, 0)
    data = sys.stdin.buffer.read()
    if _kept_input < 0:
        _shared = None  # no other process could go on
    else:
        with open(_kept_input, "wb", closefd=False) as kept:
            kept.write(data)
    return data


def lines_to(stream: BinaryIO) -> BinaryIO:
    """Return a stream that is given whole lines and writes each at once, but for those that a process wrote that died.

    Raises OSError as `stream` does.
    """
    return cast("BinaryIO", _Lines(stream))


class _Lines(io.BufferedIOBase):
    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._written, self._given = stream, _lines() if _ending else 0, 0

    def writable(self) -> bool:
        return True

    def write(self, line: "ReadableBuffer") -> int:
        self._given += 1
        if self._given > self._written:
            self._stream.write(line)
            self._stream.flush()
            if _shared is not None:
                _shared[_LINES] = self._given.to_bytes(8)
        return memoryview(line).nbytes


def _lines() -> int:
    return 0 if _shared is None else int.from_bytes(_shared[_LINES])


def _waited(child: int) -> int:
    """Pass on what others send, until the child has ended; return its status. Ctrl-C reaches it by itself."""
    while True:
        came = signal.sigwaitinfo((*_PASSED_ON, signal.SIGCHLD))
        if came.si_signo == signal.SIGCHLD:
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                return status
        elif came.si_code <= 0:  # of a process; the terminal's are positive, and go to both
            os.kill(child, came.si_signo)


def _end_as(status: int) -> NoReturn:
    """End as the child did, which has said all there is to be said."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (number,))
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


def _tie_to(parent: int) -> None:
    """Let this process be killed where its parent is: nobody would know of it."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
