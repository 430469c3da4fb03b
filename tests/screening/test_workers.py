"""Processes that help: the same bytes as without them, whatever happens to them."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import psutil
import pytest

from cxr.core.errors import ModelError, Reason
from cxr.core.image import Plane
from cxr.inference.network import network_threads
from cxr.screening.journal import Journal
from cxr.screening.predict import Outcome
from cxr.screening.workers import WorkerPool
from tests.screening.drawings import save
from tests.screening.fakes import FakeModel, FakeNetwork, Logits, by_brightness
from tests.screening.works import Notes, run_in, work_on

forks = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")


BATCH = 4
FILES = 120
BAD = ("empty.png", "text.png")


def model(answer: Callable[[Plane], Logits] = by_brightness) -> FakeModel:
    return FakeModel(FakeNetwork(answer))


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    for number in range(FILES):
        save(folder, f"{number:03}.png", (number, 2 * number, 100))
    (folder / BAD[0]).write_bytes(b"")
    (folder / BAD[1]).write_bytes(b"not a picture")
    (folder / "notes").write_text("no image")
    return folder


@pytest.fixture
def expected(scans: Path, tmp_path: Path) -> bytes:
    files, _, _ = run_in(tmp_path / "alone.csv", work_on(scans, [model()]))
    return files.results.read_bytes()


@pytest.fixture(autouse=True)
def _nobody_is_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


def run_with(size: int, scans: Path, output: Path, **more: object) -> tuple[bytes, Notes]:
    notes = more.pop("notes", Notes())
    load = more.pop("load", lambda: [model(slow)])
    work = work_on(scans, [model(slow)], batch=BATCH)
    pool = WorkerPool(size, work.selection.candidates, load)  # type: ignore[arg-type]
    files, tally, _ = run_in(output, work, notes=notes, pool=pool)  # type: ignore[arg-type]
    assert tally.rows == FILES + len(BAD)
    return files.results.read_bytes(), notes  # type: ignore[return-value]


def slow(planes: Plane) -> Logits:
    time.sleep(0.01)  # so that nobody does everything
    return by_brightness(planes)


@forks
@pytest.mark.parametrize("size", [1, 2, 5])
def test_helpers_do_a_part_and_change_no_byte(size: int, scans: Path, expected: bytes, tmp_path: Path) -> None:
    found, notes = run_with(size, scans, tmp_path / "r.csv")
    assert found == expected
    assert notes.endings == []
    assert notes.done_elsewhere >= BATCH * size
    # Each file once: those with an answer are counted where others gave it, those without are told whoever found them.
    assert notes.done_elsewhere + len(notes.outcomes) == FILES + len(BAD) + 1
    reasons = {outcome.candidate.cell: outcome.row.reason for outcome in notes.outcomes if outcome.row is not None}
    assert {name: reasons[name] for name in BAD} == {BAD[0]: Reason.EMPTY, BAD[1]: Reason.NOT_AN_IMAGE}


@forks
def test_more_helpers_than_files_are_no_fault(tmp_path: Path) -> None:
    save(tmp_path / "scans", "only.png", (1, 2, 3))
    work = work_on(tmp_path / "scans", [model()])
    _, tally, notes = run_in(tmp_path / "r.csv", work, pool=WorkerPool(3, work.selection.candidates, lambda: [model()]))
    assert (tally.rows, notes.endings) == (1, [])


class Killing(Notes):
    """Ends the helpers by a signal, once something is done."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def screened(self, outcomes: Sequence[Outcome]) -> None:
        super().screened(outcomes)
        for process in multiprocessing.active_children()[: self.most]:
            os.kill(process.pid or 0, signal.SIGKILL)
            self.most -= 1


@forks
@pytest.mark.parametrize("killed", [1, 2])
def test_what_a_killed_helper_had_is_done_by_the_others(
    killed: int, scans: Path, expected: bytes, tmp_path: Path
) -> None:
    found, notes = run_with(2, scans, tmp_path / "r.csv", notes=Killing(killed))
    assert found == expected
    assert notes.endings == ["was ended by SIGKILL"] * killed


def unable() -> list[FakeModel]:
    raise ModelError("no such network")


def other_network() -> list[FakeModel]:
    return [FakeModel(network_sha256="0" * 64)]


@forks
@pytest.mark.parametrize("load", [unable, other_network])
def test_a_helper_that_has_not_the_same_network_does_nothing(
    load: Callable[[], list[FakeModel]], scans: Path, expected: bytes, tmp_path: Path
) -> None:
    found, notes = run_with(1, scans, tmp_path / "r.csv", load=load)
    assert found == expected
    assert (notes.endings, notes.done_elsewhere) == (["ended with status 1"], 0)


class StopError(Exception):
    """Ends a run from within."""


class Stopping(Notes):
    """Ends the run when a helper has done something."""

    def advanced(self, number: int) -> None:
        super().advanced(number)
        raise StopError


@forks
def test_a_run_that_was_ended_goes_on_with_what_helpers_did(scans: Path, expected: bytes, tmp_path: Path) -> None:
    with pytest.raises(StopError):
        run_with(2, scans, tmp_path / "r.csv", notes=Stopping())
    with Journal(tmp_path / "r.csv.journal") as journal:
        done = len(list(journal.records()))
    assert 0 < done < FILES
    found, notes = run_with(2, scans, tmp_path / "r.csv")
    assert found == expected
    assert notes.kept == done


@forks
def test_helpers_end_when_the_process_that_they_help_is_killed(scans: Path) -> None:
    def help_and_wait(found: "multiprocessing.connection.Connection") -> None:
        pool = WorkerPool(3, work_on(scans).selection.candidates, lambda: [model()])
        found.send([process.pid for process in multiprocessing.active_children()])
        time.sleep(60)
        pool.shutdown()

    ours, theirs = multiprocessing.Pipe()
    first = multiprocessing.get_context("fork").Process(target=partial(help_and_wait, theirs))
    first.start()
    helpers = [psutil.Process(pid) for pid in ours.recv()]
    assert len(helpers) == 3
    first.kill()
    first.join()
    gone, alive = psutil.wait_procs(helpers, timeout=10)
    assert (len(gone), alive) == (3, [])


@pytest.mark.parametrize(
    ("gflop", "cores", "threads"),
    [(0.078, 1, 1), (0.078, 2, 1), (0.078, 16, 4), (2.5, 2, 2), (2.5, 16, 15), (0.0, 8, 1)],
)
def test_threads_follow_the_cost_of_the_network(gflop: float, cores: int, threads: int) -> None:
    assert network_threads(gflop, cores) == threads
