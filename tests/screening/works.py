"""Whole runs with a stand-in network, as the command line puts them together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cxr.screening.candidates import Candidate, Query
from cxr.screening.discovery import Shard, discover, select
from cxr.screening.engine import Run
from cxr.screening.paths import Naming
from cxr.screening.predict import Outcome
from cxr.screening.run import LocalEngine, run
from cxr.screening.run_manifest import RunRequest, Tally
from cxr.screening.schema import Row, schema_for
from cxr.screening.tables import OutputFiles
from cxr.screening.workers import WorkerPool
from tests.screening.fakes import FakeModel


@dataclass
class Notes:
    """A listener that remembers."""

    kept: int = -1
    retried: int = -1
    others: int = -1
    outcomes: list[Outcome] = field(default_factory=list)
    done_elsewhere: int = 0
    endings: list[str] = field(default_factory=list)

    def resumed(self, kept: int, retried: int, total: int, others: int) -> None:
        assert others <= kept <= total
        self.kept, self.retried, self.others = kept, retried, others

    def screened(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes += outcomes

    def advanced(self, number: int) -> None:
        self.done_elsewhere += number

    def crashed(self, ending: str) -> None:
        self.endings.append(ending)

    @property
    def screened_names(self) -> list[str]:
        return [outcome.candidate.cell for outcome in self.outcomes]


def candidates(*names: str, named: bool = False) -> list[Candidate]:
    return [Candidate(name, name, named) for name in names]


def work_on(
    folder: Path,
    models: Sequence[FakeModel] | None = None,
    shard: Shard | None = None,
    limit: int | None = None,
    **more: object,
) -> Run:
    naming = Naming(folder)
    query = Query([folder])
    found = discover(query, naming)
    models = models or [FakeModel()]
    schema = schema_for(models)
    request = RunRequest(["folder", "-o", "results.csv"], query, naming, shard, limit)
    return Run(request, found, select(found.candidates, shard, limit), models, schema, **more)  # type: ignore[arg-type]


def run_in(
    output: Path, work: Run, *, overwrite: bool = False, notes: Notes | None = None, pool: WorkerPool | None = None
) -> tuple[OutputFiles, Tally, Notes]:
    files, notes = OutputFiles(output), notes or Notes()
    return files, run(work, files, notes, overwrite=overwrite, engine=LocalEngine(pool)), notes


def rows_of(outcomes: Sequence[Outcome]) -> list[Row]:
    return [outcome.row for outcome in outcomes if outcome.row is not None]
