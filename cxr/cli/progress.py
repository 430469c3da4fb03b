"""Progress bars on stderr, for terminals only."""

from collections.abc import Iterable
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cxr.cli.console import stderr

T = TypeVar("T")


def bars(items: Iterable[T], label: str, total: int | None) -> Iterable[T]:
    """Yield `items` while a bar follows them; shows nothing where stderr is no terminal. See `cxr.progress.Track`."""
    console = stderr()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield from progress.track(items, total=total, description=label)
