"""The two consoles, and the one place where a user's error becomes a line and an exit status."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

from cxr.errors import CxrError

FATAL = 1


def stdout() -> Console:
    """Return a console for results."""
    return Console(soft_wrap=True)


def stderr(quiet: bool = False) -> Console:
    """Return a console for people: progress, warnings, errors."""
    return Console(stderr=True, quiet=quiet)


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn a CxrError into one line on stderr and exit status 1; any other exception is a bug and keeps its trace."""
    try:
        yield
    except CxrError as error:
        Console(stderr=True, soft_wrap=True).print(f"[red]error:[/red] {escape(str(error))}", highlight=False)
        raise SystemExit(FATAL) from None
