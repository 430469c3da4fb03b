"""What decoders do to the process that they run in; the children of `cxr.imaging.isolation` import these functions."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from cxr.imaging.dicom import _decoded
from cxr.imaging.isolation import Answer

# Rows of a picture, and what becomes of the process that decodes it.
SEGFAULT, ABORT, HANG, DEVOUR, EXIT, NONSENSE = range(101, 107)


def echoed(text: str, data: bytes = b"") -> Answer:
    return text, data


def pid() -> Answer:
    return str(os.getpid()), b""


def modules() -> Answer:
    return " ".join(sys.modules), b""


def noisy() -> Answer:
    os.write(1, b"what a decoder thinks\n")
    os.write(2, b"what a decoder thinks\n")
    return "done", b""


def raising() -> Answer:
    raise ValueError("no such marker")


def once(path: str) -> Answer:
    """Crash the first time."""
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGSEGV)
    return "second try", b""


def fail(fault: int) -> Answer:
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


def decoded(pixels: Dataset) -> Answer:
    """Stand for `cxr.imaging.dicom._decoded`."""
    return fail(pixels.Rows) if SEGFAULT <= pixels.Rows <= NONSENSE else _decoded(pixels)
