"""The two consoles, bars, the one place where a user's error becomes an exit status, and the watchdog of DVC."""

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from cxr.core.errors import CxrError, UsageError
from cxr.core.files import refused
from cxr.core.process import begun, limit_error

PROC = Path("/proc")  # Linux has it, and small systems have no ps; the others have ps
SHELLS = ("sh", "dash", "bash", "ash", "zsh", "ksh", "fish")
EVERY_SECONDS = 0.5
GRACE_SECONDS = 5.0  # to remove temporary files; TensorFlow may be deaf for some steps


def start_parent_watchdog() -> None:
    """In a stage that DVC runs, watch DVC from a thread, and end this process when DVC is gone; else do nothing.

    DVC puts its stage's name into the environment. A signal that hits DVC alone leaves the stage running under init.
    Between the two may stand a shell, which outlives DVC as well: then the shell's parent is watched.

    SIGTERM is a KeyboardInterrupt from here on, so that temporary files go, and so is what a library makes of one. Not
    on Windows, where a process does not learn that its parent is gone.
    """
    stage = os.environ.get("DVC_STAGE")
    if stage is None or os.name == "nt" or threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    parent = os.getppid()
    shell, dvc = (parent, parent_of(parent)) if name_of(parent) in SHELLS else (None, parent)
    # A descriptor of its own: while TensorFlow is loaded, 2 leads nowhere (cxr.models.layers).
    threading.Thread(target=_watch, args=(stage, shell, dvc, os.dup(2)), daemon=True).start()


_is_interrupted = threading.Event()


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    _is_interrupted.set()
    raise KeyboardInterrupt


@contextmanager
def _still_interrupted() -> Iterator[None]:
    """Raise KeyboardInterrupt for what became of one in a library's C code, such as a SystemError in TensorFlow's."""
    try:
        yield
    except Exception as error:
        if _is_interrupted.is_set():
            raise KeyboardInterrupt from error
        raise


def parent_of(process: int) -> int | None:
    """Return the process that started `process`, or init where that one is gone; None where there is none to ask."""
    found = _ask(process, "ppid")
    return int(found) if found else None


def name_of(process: int) -> str:
    """Return the name of the program that `process` runs, without its folder; empty where there is none to ask."""
    return Path(_ask(process, "comm").removeprefix("-")).name  # a login shell has the dash


def _ask(process: int, what: str) -> str:
    if not (PROC / "self/stat").exists():
        import subprocess  # not where it is not needed: every command passes here

        done = subprocess.run(["ps", "-o", f"{what}=", "-p", str(process)], capture_output=True, text=True, check=False)
        return done.stdout.strip()
    try:
        # The name stands in brackets and may hold any character; the state and the parent follow.
        before, _, after = (PROC / f"{process}/stat").read_text(errors="replace").rpartition(")")
    except OSError:
        return ""
    return after.split()[1] if what == "ppid" else before.partition("(")[2]


def _watch(stage: str, shell: int | None, dvc: int | None, stderr: int) -> None:
    while (os.getppid() if shell is None else parent_of(shell)) == dvc:
        time.sleep(EVERY_SECONDS)
    said = f"{stage}: the dvc that ran this stage is gone, so it ends; run dvc repro again\n"
    with suppress(OSError):  # whoever read it may be gone as well
        os.write(stderr, said.encode())
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def command_line(**more: Any) -> typer.Typer:
    """Return the command line of a program; its help is Markdown, whose code blocks are examples."""
    # Markup of rich would take a default, such as [default: packaged], for a style, and leave it out.
    return typer.Typer(add_completion=False, pretty_exceptions_show_locals=False, rich_markup_mode="markdown", **more)


def below_help(*examples: str, then: str) -> str:
    """Return what stands below the options in --help: examples, a line each, and what the exit status says."""
    lines = "\n".join(f"    {one}" for one in examples)
    return f"Examples\n\n{lines}\n\n{then}"


FATAL = 1
USAGE = 2
INTERRUPTED = 130
# What may be an error of the system, rather than a bug.
OF_THE_SYSTEM = (OSError, MemoryError, RuntimeError, ImportError)
# Top-level modules of the extra `pipeline`: absent after a plain `pip install .`
PIPELINE_MODULES = frozenset(
    {
        "dvc",
        "keras",
        "matplotlib",
        "pandas",
        "pydantic",
        "ruamel",
        "scipy",
        "sklearn",
        "tensorflow",
    }
)


def stdout() -> Console:
    """Return a console for results; a name that it cannot show is escaped."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    return Console(soft_wrap=True)


def stderr(quiet: bool = False) -> Console:
    """Return a console for people: progress, warnings, errors."""
    return Console(stderr=True, quiet=quiet)


@contextmanager
def user_errors(extra: str = "pipeline") -> Iterator[None]:
    """Turn what is not this program's fault into one line on stderr and an exit status.

    1 for a CxrError, a missing extra and whatever the system refuses, be it a file, memory or a thread; 2 for a
    UsageError; 130 for Ctrl-C. Any other exception is a bug and keeps its trace. A stage that DVC runs ends with its
    DVC.

    Args:
        extra: Which the command needs.
    """
    start_parent_watchdog()
    try:
        begun()
        with _still_interrupted():
            yield
    except CxrError as error:
        _fail(str(error), status_of(error))
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in PIPELINE_MODULES:
            raise
        _fail(f"{error.name} is not installed; this command needs the extra '{extra}': pip install '.[{extra}]'")
    except OF_THE_SYSTEM as error:
        if (told := told_of_the_system(error)) is None:
            raise
        _fail(str(told))
    except KeyboardInterrupt:
        _interrupted()
    except SystemExit as ended:
        # Typer ends on Ctrl-C by itself, with this status and no word.
        if ended.code != INTERRUPTED or isinstance(ended, _Interrupted):
            raise
        _interrupted()


def told_of_the_system(error: Exception) -> CxrError | None:
    """Return the sentence where the system refuses something or has no more of it; None of what a library says."""
    if isinstance(error, OSError):
        return None if error.errno is None else refused(error)
    return limit_error(error, "to go on")


@contextmanager
def sigterm_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM unwind the stack in the block, so that temporary folders go and what was begun is put back."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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


T = TypeVar("T")


LINE_SECONDS = 20.0  # without a terminal


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
    """Yield `items` while a bar follows them, or, where stderr is no terminal, a line now and then.

    See `cxr.core.files.Track`.
    """
    console = stderr()
    with bar(console) as progress:
        yield from progress.track(
            items if console.is_terminal else _lines(items, label, total), total, description=label
        )


def _lines(items: Iterable[T], label: str, total: int | None) -> Iterator[T]:
    """Yield `items`; each time that LINE_SECONDS have passed, say how many are done."""
    said = time.monotonic()
    for number, item in enumerate(items):
        if time.monotonic() - said >= LINE_SECONDS:
            said = time.monotonic()
            sys.stderr.write(f"{label}: {number:,}{f' of {total:,}' if total else ''}\n")
        yield item
