"""The two consoles, and the one place where a user's error becomes a line and an exit status."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from rich.console import Console
from rich.markup import escape

from cxr.errors import CxrError, UsageError

FATAL = 1
USAGE = 2
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
    """Turn a CxrError, or a missing extra, into one line on stderr and exit status 1, or 2 for a UsageError.

    Any other exception is a bug and keeps its trace.
    """
    try:
        yield
    except CxrError as error:
        _fail(str(error), status_of(error))
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in PIPELINE_MODULES:
            raise
        _fail(f"{error.name} is not installed; this command needs the extra 'pipeline': pip install '.[pipeline]'")


def status_of(error: CxrError) -> int:
    """Return the exit status that scripts see."""
    return USAGE if isinstance(error, UsageError) else FATAL


def _fail(sentence: str, status: int = FATAL) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(f"[red]error:[/red] {escape(sentence)}", highlight=False)
    raise SystemExit(status) from None
