"""What decoders do to the process that they run in; the children of `cxr.imaging.isolation` import these functions."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from cxr.imaging.decode import _answered
from cxr.imaging.isolation import Answer

# What becomes of the process that decodes a file with MARK and this number, in ASCII, at its end.
SEGFAULT, ABORT, HANG, DEVOUR, EXIT, NONSENSE = range(101, 107)
MARK = b"fault"


def echoed(data: bytes, text: str) -> Answer:
    return text, data


def pid(_: bytes) -> Answer:
    return str(os.getpid()), b""


def modules(_: bytes) -> Answer:
    return " ".join(sys.modules), b""


def noisy(_: bytes) -> Answer:
    os.write(1, b"what a decoder thinks\n")
    os.write(2, b"what a decoder thinks\n")
    return "done", b""


def raising(_: bytes, *__: object) -> Answer:
    raise ValueError("no such marker")


def once(_: bytes, path: str) -> Answer:
    """Crash the first time."""
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGSEGV)
    return "second try", b""


def fail(_: bytes, fault: int) -> Answer:
    kept = []
    if fault == SEGFAULT:
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == ABORT:
        os.abort()
    if fault == EXIT:
        os._exit(0)
    while fault == HANG:
        time.sleep(60)
    while fault == DEVOUR:  # what is not written to is counted, and costs nothing
        kept.append(np.empty(1 << 28, np.uint8))
    if fault == NONSENSE:
        os.write(3, b"\xff" * 64)  # where answers go
        time.sleep(60)
    return "", b""


def marked(data: bytes, fault: int) -> bytes:
    """Return a file that `answered` takes for one that its decoder does not survive."""
    return data + MARK + str(fault).encode()


def answered(data: bytes, side: int, found: str, any_dicom: bool) -> Answer:
    """Stand for `cxr.imaging.decode._answered`."""
    _, mark, fault = data[-8:].partition(MARK)
    return fail(data, int(fault)) if mark else _answered(data, side, found, any_dicom)
