"""A run, and the seam of those who screen it: `Engine` and `Log`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from cxr.imaging.isolation import FILE_SECONDS
from cxr.inference.model_folder import ScreeningModel
from cxr.inference.network import BATCH
from cxr.screening.candidates import Found
from cxr.screening.discovery import Selection
from cxr.screening.journal import Fingerprint, JournalRecord
from cxr.screening.predict import Outcome
from cxr.screening.read import ReadOptions
from cxr.screening.run_manifest import RunRequest
from cxr.screening.schema import Schema
from cxr.screening.tables import Dialect, Format, OutputFiles


class ProgressListener(Protocol):
    """Whoever wants to know how a run goes on."""

    def resumed(self, kept: int, retried: int, total: int, others: int) -> None:
        """Take, before the first file, how many files need no work, failed before, there are, and are no images.

        Those of the last are among the first.
        """

    def screened(self, outcomes: Sequence[Outcome]) -> None:
        """Take what became of some files, once it is in the journal."""

    def advanced(self, number: int) -> None:
        """Take how many files more are done, where only other processes know what became of them."""

    def crashed(self, ending: str) -> None:
        """Take how a process that helped has ended before its time; what it had is done by the others."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run has to do.

    Attributes:
        request: For the manifest.
        found: What lies below the inputs.
        selection: What of it this run takes.
        models: At least one.
        schema: Of the table.
        format: Of the table.
        partitioned: Whether it is a folder of several files.
        workers: Decoding threads, where one process screens; 0 is one for each core.
        batch: Files that are taken together; no answer depends on it.
        seconds: That decoding one file may take; 0: as long as it takes.
        dialect: Of a table in CSV.
    """

    request: RunRequest
    found: Found
    selection: Selection
    models: Sequence[ScreeningModel]
    schema: Schema
    format: Format = Format.CSV
    partitioned: bool = False
    workers: int = 0
    batch: int = BATCH
    seconds: float = FILE_SECONDS
    dialect: Dialect = Dialect.PLAIN

    @property
    def reading(self) -> ReadOptions:
        """How its files are read."""
        return ReadOptions(self.schema.keywords, self.seconds, self.schema.any_dicom)


# Numbers of candidates, and the position of the record of each.
Done = tuple[Sequence[int], Sequence[int]]


class Log(Protocol):
    """What a run has done so far."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def append(self, records: Iterable[JournalRecord]) -> list[int]:
        """Add records and return the position of each. Raises OutputError."""

    def sync(self) -> None:
        """Wait until everything is on the disk."""

    def record_at(self, position: int) -> JournalRecord:
        """Read back the record at a position."""

    def records(self) -> Iterator[tuple[int, JournalRecord]]:
        """Give every record with its position, in the order in which they were added."""

    def instructions(self) -> set[str]:
        """Return the classes of the processors that computed the records, see `cxr.core.process.instructions`."""


class Engine(Protocol):
    """Screens candidates."""

    def opened(self, files: OutputFiles, fingerprint: Fingerprint, *, overwrite: bool) -> Log:
        """Open what an earlier run with the same fingerprint has done, or begin.

        Raises:
            ResumeError: It was begun with another fingerprint or engine, or there is a table and nothing else.
            OutputError: It cannot be written.
        """

    def screened(self, log: Log, work: Run, todo: Sequence[int], listener: ProgressListener) -> Iterator[Done]:
        """Screen the candidates numbered `todo`, and give what is in the log, in any order."""
