"""Who screens what is left of a run, and where what is done is kept: this machine, or others too."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from cxr.errors import OutputError, ResumeError
from cxr.files import JsonObject
from cxr.screening.engine import record_of, screen
from cxr.screening.fingerprint import check_same
from cxr.screening.journal import Journal, create_journal, read_header
from cxr.screening.output import OutputFiles
from cxr.screening.parts import remove_parts
from cxr.screening.work import Watcher, Work

if TYPE_CHECKING:
    from cxr.screening.crew import Crew

# Numbers of candidates, and the position of the record of each.
Done = tuple[Sequence[int], Sequence[int]]


class Log(Protocol):
    """What a run has done so far; a record has `path`, `stamp`, and `cells` where the file has a row."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def append(self, records: Iterable[JsonObject]) -> list[int]:
        """Add records and return the position of each. Raises OutputError."""

    def sync(self) -> None:
        """Wait until everything is on the disk."""

    def record_at(self, position: int) -> JsonObject:
        """Read back the record at a position."""

    def records(self) -> Iterator[tuple[int, JsonObject]]:
        """Give every record with its position, in the order in which they were added."""

    def instructions(self) -> set[str]:
        """Return the classes of the processors that computed the records, see `cxr.processor.instructions`."""


class Engine(Protocol):
    """Screens candidates."""

    def opened(self, files: OutputFiles, fingerprint: JsonObject, *, overwrite: bool) -> Log:
        """Open what an earlier run with the same fingerprint has done, or begin.

        Raises:
            ResumeError: It was begun with another fingerprint or engine, or there is a table and nothing else.
            OutputError: It cannot be written.
        """

    def screened(self, log: Log, work: Work, todo: Sequence[int], watcher: Watcher) -> Iterator[Done]:
        """Screen the candidates numbered `todo`, and give what is in the log, in any order."""


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """This machine, and one journal.

    Attributes:
        crew: Processes that screen beside this one, each file by file; None: this one alone, with threads that read.
    """

    crew: "Crew | None" = None

    def opened(self, files: OutputFiles, fingerprint: JsonObject, *, overwrite: bool) -> Journal:
        """See `Engine`."""
        header = None if overwrite else read_header(files.journal)
        if header is None and not overwrite:
            refuse_leftovers(files, files.parts, "ray")
        if header is None:
            remove_parts(files.parts)
            return create_journal(files.journal, {"fingerprint": fingerprint})
        check_same(header["fingerprint"], fingerprint, str(files.journal))
        try:
            return Journal(files.journal)
        except OSError as error:
            raise OutputError(f"cannot write {files.journal}: {error.strerror}") from error

    def screened(self, log: Log, work: Work, todo: Sequence[int], watcher: Watcher) -> Iterator[Done]:
        """See `Engine`; in the order of `todo` where there is no crew."""
        if self.crew is not None:
            from cxr.screening.together import together

            yield from together(self.crew, log, work, todo, watcher)
            return
        candidates = work.selection.candidates
        waiting = iter(todo)
        chosen = (candidates[number] for number in todo)
        for outcomes in screen(chosen, work.asked.naming.root, work.models, work.workers, work.keywords, work.batch):
            numbers = [next(waiting) for _ in outcomes]
            assert all(o.candidate == candidates[n] for o, n in zip(outcomes, numbers, strict=True)), "out of order"
            yield numbers, log.append([record_of(outcome, work.schema) for outcome in outcomes])
            watcher.screened(outcomes)


def refuse_leftovers(files: OutputFiles, other: Path, engine: str) -> None:
    """Refuse to begin beside what another engine has begun, or beside a table that nothing tells about.

    Args:
        files: Of the output.
        other: Where the other engine keeps what it has done.
        engine: Its name.

    Raises:
        ResumeError: It is so.
    """
    if other.exists():
        raise ResumeError(
            f"{files.results} was begun with --engine {engine}, see {other.name}: go on with that, or start over with "
            f"--overwrite"
        )
    if files.results.exists():
        raise ResumeError(
            f"{files.results} exists, but {files.journal.name}, which tells how it was made, does not: give another "
            f"output, or replace it with --overwrite"
        )
