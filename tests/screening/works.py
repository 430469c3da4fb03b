"""Whole runs with a stand-in network, as the command line puts them together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cxr.screening.applied import applied_of
from cxr.screening.candidates import Candidate
from cxr.screening.crew import Crew
from cxr.screening.discover import discover
from cxr.screening.engine import Outcome
from cxr.screening.engines import LocalEngine
from cxr.screening.gated import gated_by
from cxr.screening.job import run
from cxr.screening.names import Naming
from cxr.screening.output import OutputFiles
from cxr.screening.query import Query
from cxr.screening.rows import Row
from cxr.screening.run_manifest import Asked
from cxr.screening.schema import schema_of
from cxr.screening.select import Shard, select
from cxr.screening.tally import Tally
from cxr.screening.work import ScreeningModel, Work
from tests.screening.fakes import FakeModel


@dataclass
class Notes:
    """A watcher that remembers."""

    kept: int = -1
    retried: int = -1
    outcomes: list[Outcome] = field(default_factory=list)
    done_elsewhere: int = 0
    endings: list[str] = field(default_factory=list)

    def resumed(self, kept: int, retried: int, total: int) -> None:
        assert kept <= total
        self.kept, self.retried = kept, retried

    def screened(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes += outcomes

    def advanced(self, number: int) -> None:
        self.done_elsewhere += number

    def lost(self, ending: str) -> None:
        self.endings.append(ending)

    @property
    def screened_names(self) -> list[str]:
        return [outcome.candidate.cell for outcome in self.outcomes]


def candidates(*names: str, named: bool = False) -> list[Candidate]:
    return [Candidate(name, name, named) for name in names]


def work_on(
    folder: Path,
    models: Sequence[ScreeningModel] | None = None,
    shard: Shard | None = None,
    limit: int | None = None,
    **more: object,
) -> Work:
    naming = Naming(folder)
    query = Query([folder])
    found = discover(query, naming)
    models = models or [FakeModel()]
    heads = [(str(model.description["name"]), model.identity, model.classes) for model in models]
    schema = schema_of(heads, applied=[applied_of(model) for model in models], gate=gated_by(models[0].gate))
    asked = Asked(["folder", "-o", "results.csv"], query, naming, shard, limit)
    return Work(asked, found, select(found.candidates, shard, limit), models, schema, **more)  # type: ignore[arg-type]


def run_in(
    output: Path, work: Work, *, overwrite: bool = False, notes: Notes | None = None, crew: Crew | None = None
) -> tuple[OutputFiles, Tally, Notes]:
    files, notes = OutputFiles(output), notes or Notes()
    return files, run(work, files, notes, overwrite=overwrite, engine=LocalEngine(crew)), notes


def rows_of(outcomes: Sequence[Outcome]) -> list[Row]:
    return [outcome.row for outcome in outcomes if outcome.row is not None]
