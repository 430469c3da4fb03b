"""The two consoles, and the one place where a user's error becomes a line and an exit status."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from rich.console import Console
from rich.markup import escape

from cxr.cli.orphan import end_with_dvc
from cxr.errors import CxrError, UsageError

FATAL = 1
USAGE = 2
INTERRUPTED = 130
# What helps where the system refuses to write.
REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "this user's share of the disk is used up: free some of it",
    errno.EFBIG: "larger files are not allowed here: raise 'ulimit -f'",
    errno.EACCES: "let this user read and write there",
    errno.EPERM: "let this user read and write there",
    errno.EROFS: "the disk is read-only: work on another one",
}
# NumPy's whole message, without a number, where a file took fewer values than there are.
NUMPY_WROTE_LESS = " requested and "
# Top-level modules of the extra `pipeline`: absent after a plain `pip install .`
PIPELINE_MODULES = frozenset(
    {
        "dvc",
        "imagehash",
        "keras",
        "matplotlib",
        "openpyxl",
        "pandas",
        "pydantic",
        "ruamel",
        "scipy",
        "sklearn",
        "tensorflow",
    }
)


def stdout() -> Console:
    """Return a console for results."""
    return Console(soft_wrap=True)


def stderr(quiet: bool = False) -> Console:
    """Return a console for people: progress, warnings, errors."""
    return Console(stderr=True, quiet=quiet)


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn what is not this program's fault into one line on stderr and an exit status.

    1 for a CxrError, a missing extra and a file that cannot be written; 2 for a UsageError; 130 for Ctrl-C. Any other
    exception is a bug and keeps its trace. A stage that DVC runs ends with its DVC.
    """
    end_with_dvc()
    try:
        yield
    except CxrError as error:
        _fail(str(error), status_of(error))
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in PIPELINE_MODULES:
            raise
        _fail(f"{error.name} is not installed; this command needs the extra 'pipeline': pip install '.[pipeline]'")
    except OSError as error:
        number = errno.ENOSPC if NUMPY_WROTE_LESS in str(error) else error.errno
        if number not in REMEDIES:
            raise
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{os.strerror(number)}; {REMEDIES[number]}, then run the same command again")
    except KeyboardInterrupt:
        _interrupted()
    except SystemExit as ended:
        # Typer ends on Ctrl-C by itself, with this status and no word.
        if ended.code != INTERRUPTED or isinstance(ended, _Interrupted):
            raise
        _interrupted()


class _Interrupted(SystemExit):
    """Ctrl-C, and the line about it is printed."""


def status_of(error: CxrError) -> int:
    """Return the exit status that scripts see."""
    return USAGE if isinstance(error, UsageError) else FATAL


def _interrupted() -> NoReturn:
    Console(stderr=True).print("interrupted; run the same command again")
    raise _Interrupted(INTERRUPTED) from None


def _fail(sentence: str, status: int = FATAL) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(f"[red]error:[/red] {escape(sentence)}", highlight=False)
    raise SystemExit(status) from None
