"""Arguments, progress and exit status; no logic. Here: Ctrl-C before anybody catches it."""

import os
import signal
from types import FrameType


def begin() -> None:
    """Let Ctrl-C be a sentence while modules are loaded, where nothing can be left half done."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where somebody ignores it, as nohup does
        signal.signal(signal.SIGINT, _leave)


def begun() -> None:
    """Let Ctrl-C be a KeyboardInterrupt again, for whoever catches it."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(_number: int, _frame: FrameType | None) -> None:
    os.write(2, b"interrupted; run the same command again\n")
    os._exit(130)
