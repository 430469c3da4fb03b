"""Arguments, progress and exit status; no logic. Here: the scripts of screening, where Ctrl-C works from the start."""

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


def batch() -> None:
    """Run `cxr-batch`."""
    begin()
    from cxr.cli.batch import script

    script()


def batch_merge() -> None:
    """Run `cxr-batch-merge`."""
    begin()
    from cxr.cli.tables import merge_app

    merge_app()


def verify() -> None:
    """Run `cxr-verify`."""
    begin()
    from cxr.cli.tables import verify_app

    verify_app()
