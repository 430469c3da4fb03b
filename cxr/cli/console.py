"""The two consoles, and the one place where a user's error becomes a line and an exit status."""

from collections.abc import Callable, Iterator
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


@contextmanager
def file_progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar with rate and time left on stderr, where that is a terminal; give the function that advances it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = stderr()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.speed:.0f}/s" if total else ""),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)
