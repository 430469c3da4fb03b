"""Progress bars on stderr, for terminals only."""

from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from cxr.cli.console import stderr

T = TypeVar("T")


class _RateColumn(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s")


def bar(console: Console) -> Progress:
    """Return a bar with count, speed and time left; shows nothing where the console is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def bars(items: Iterable[T], label: str, total: int | None) -> Iterable[T]:
    """Yield `items` while a bar follows them; shows nothing where stderr is no terminal. See `cxr.progress.Track`."""
    with bar(stderr()) as progress:
        yield from progress.track(items, total=total, description=label)
