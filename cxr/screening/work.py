"""What a run has to do, put together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cxr.files import JsonObject
from cxr.network import BATCH
from cxr.screening.answers import Model
from cxr.screening.engine import Outcome
from cxr.screening.fingerprint import Identified
from cxr.screening.query import Found
from cxr.screening.run_manifest import Asked
from cxr.screening.schema import Schema
from cxr.screening.select import Selection
from cxr.screening.tables import Format


class ScreeningModel(Model, Identified, Protocol):
    """A model that answers and can say who it is; `cxr.model_folder.ScreeningModel` in production."""

    @property
    def folder(self) -> Path:
        """Where it was loaded from."""

    @property
    def description(self) -> JsonObject:
        """The content of model.json."""


class Watcher(Protocol):
    """Whoever wants to know how a run goes on."""

    def resumed(self, kept: int, retried: int, total: int) -> None:
        """Take, before the first file: how many need no work, how many failed before, how many there are."""

    def screened(self, outcomes: Sequence[Outcome]) -> None:
        """Take what became of some files, once it is in the journal."""

    def advanced(self, number: int) -> None:
        """Take how many files more are done, where only other processes know what became of them."""

    def lost(self, ending: str) -> None:
        """Take how a process that helped has ended before its time; what it had is done by the others."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a run has to do.

    Attributes:
        asked: For the manifest.
        found: What lies below the inputs.
        selection: What of it this run takes.
        models: At least one.
        schema: Of the table.
        format: Of the table.
        partitioned: Whether it is a folder of several files.
        keywords: DICOM attributes to read.
        workers: Decoding threads, where one process screens; 0 is one for each core.
        batch: Files that are taken together; no answer depends on it.
    """

    asked: Asked
    found: Found
    selection: Selection
    models: Sequence[ScreeningModel]
    schema: Schema
    format: Format = Format.CSV
    partitioned: bool = False
    keywords: tuple[str, ...] = ()
    workers: int = 0
    batch: int = BATCH
