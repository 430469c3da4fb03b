"""This process on its machine: cores, instructions, where there is no more, and how a run outlives it.

Instructions decide how float32 numbers are added. Decoders are C: one that crashes ends its process, and no `except`
helps. So what was started does nothing but wait for a child, which does the run. Where a signal of a crash ends that
after its decoders have begun, another child goes on, which knows: it decodes nothing in its own process. Linux alone
can.
"""

import ctypes
import io
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from mmap import mmap
from typing import TYPE_CHECKING, BinaryIO, NoReturn, Protocol, TypeVar, cast

from cxr.core.errors import DataError, LimitError

if TYPE_CHECKING:
    from types import FrameType

    from _typeshed import ReadableBuffer


def begin() -> None:
    """Let Ctrl-C be a sentence while modules are loaded, where nothing can be left half done."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where somebody ignores it, as nohup does
        signal.signal(signal.SIGINT, _leave)


def begun() -> None:
    """Let Ctrl-C be a KeyboardInterrupt again, for whoever catches it."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(_number: int, _frame: "FrameType | None") -> None:
    os.write(2, b"interrupted; run the same command again\n")
    os._exit(130)


# From the oldest on; as far as it decides how float32 numbers are added, and no finer.
INSTRUCTIONS = ("sse", "avx", "avx2", "avx512")
# As NumPy names them, from 2.4 on and before. TensorFlow's wheels need avx.
FOUND_BY_NUMPY = {"X86_V4": "avx512", "AVX512_SKX": "avx512", "X86_V3": "avx2", "AVX2": "avx2", "X86_V2": "avx"}
ONEDNN_LIMIT = "ONEDNN_MAX_CPU_ISA"
# Whether TensorFlow gives whole operations to oneDNN, `1` or `0`. Unset, it does where the processor has AVX-512 VNNI
# or its like; and those add in another order than TensorFlow's own, also under one limit.
ONEDNN_OPERATIONS = "TF_ENABLE_ONEDNN_OPTS"
# What the values of oneDNN's environment variable, which OpenVINO follows too, begin with; the first that fits counts.
ONEDNN_LIMITS = {"AVX512": "avx512", "AVX10": "avx512", "AVX2": "avx2", "AVX": "avx", "SSE": "sse"}


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


A = TypeVar("A")
B = TypeVar("B")


class Map(Protocol):
    """As `map`: gives what a function makes of each item, in their order."""

    def __call__(self, function: Callable[[A], B], items: Iterable[A], /) -> Iterator[B]:
        """Begin; over processes, function and items must be what pickle can send."""


FEW = 512  # files that are done before further processes have started


@contextmanager
def worker_processes(files: int, cores: int = 0) -> Iterator[Map]:
    """Give the map that spreads work on many files over processes; `map` itself where this one is enough.

    Not threads, which wait for one another between two pictures. Started anew, not forked: a fork would inherit the
    locks of threads that libraries have by now.

    Args:
        files: How many there are.
        cores: Processes; 0: as many as this one may use cores.

    Raises:
        DataError: A process has died.
    """
    cores = cores or available_cores()
    if cores == 1 or files <= FEW:
        yield map
        return
    import multiprocessing  # here, so that screening does without
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        try:
            yield pool.map
        except BrokenProcessPool as error:
            raise DataError(
                "a process that this one started has died: the system ended it, perhaps for want of memory. End other "
                "programs, then run the same command again"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


# What Python and the runtimes say of it, in lower case.
MEMORY_WORDS = ("bad_alloc", "out of memory", "not enough memory", "cannot allocate", "failed to allocate")
# The last is all that OpenVINO says where no library that reads networks could be loaded.
_LIMIT_WORDS = (
    *MEMORY_WORDS,
    "can't alloc",
    "failed to map segment",
    "resource temporarily unavailable",
    "can't start new thread",
    "available frontends:\n",
)


def short_of_memory(error: BaseException) -> bool:
    """Tell whether an error is about memory, as far as its kind or its words say so."""
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in MEMORY_WORDS)


def limit_error(error: BaseException, doing: str) -> LimitError | None:
    """Return the sentence for an error that means too little memory or too few threads; None for any other.

    One sentence for both: a thread needs memory, and where it gets none, that is reported as too few threads.

    Args:
        error: Of Python or of a runtime.
        doing: What was tried, such as `to load network.xml`.
    """
    words = str(error).lower()
    if not isinstance(error, MemoryError) and not any(word in words for word in _LIMIT_WORDS):
        return None
    return LimitError(
        f"too little memory or too few threads are left {doing}: end other programs, or raise the limits ('ulimit -v' "
        "and 'ulimit -u'), then run the same command again"
    )


def instructions() -> str:
    """Return the class of this processor: two of one class give equal bytes with the same wheels."""
    return instructions_of(_simd_extensions(), os.environ)


def instructions_of(simd: Iterable[str], variables: Mapping[str, str]) -> str:
    """Return the newest of INSTRUCTIONS that float32 kernels use, or the machine's own name where it has none of them.

    Args:
        simd: Names of what the processor has, as NumPy spells them.
        variables: Environment variables; oneDNN's own limit counts.
    """
    present = {FOUND_BY_NUMPY[name] for name in simd if name in FOUND_BY_NUMPY}
    if not present:
        return platform.machine()
    limit = variables.get(ONEDNN_LIMIT, "").upper()
    allowed = next((level for start, level in ONEDNN_LIMITS.items() if limit.startswith(start)), INSTRUCTIONS[-1])
    return min(max(present, key=INSTRUCTIONS.index), allowed, key=INSTRUCTIONS.index)


def pin_instructions(newest: str) -> None:
    """Limit the kernels that this process computes with, before the library that has them is loaded.

    Args:
        newest: `avx2`, or `any` for no limit. A limit that the environment sets already stays; TensorFlow keeps its own
            operations either way.
    """
    if newest == "avx2":
        os.environ.setdefault(ONEDNN_LIMIT, "AVX2")
        os.environ[ONEDNN_OPERATIONS] = "0"


def _simd_extensions() -> list[str]:
    import numpy as np  # here, so that --help does without

    extensions = np.show_config(mode="dicts")["SIMD Extensions"]
    return [*extensions.get("baseline", []), *extensions.get("found", [])]  # NumPy leaves empty lists out


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
