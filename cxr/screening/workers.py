"""Processes that screen beside this one, each a core.

Threads of one interpreter wait for one another between the pieces that run without its lock; processes do not. They
are forked before this one has threads, so that they share what it has loaded, and wait until it tells them what
to do.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path

from cxr.core.errors import CxrError, ModelError
from cxr.core.files import reason_of
from cxr.imaging import isolation
from cxr.imaging.decode import suspected
from cxr.inference.model_folder import ScreeningModel, at_operating_point, load_model
from cxr.screening.candidates import Candidate
from cxr.screening.engine import Done, Log, ProgressListener, Run
from cxr.screening.journal import JournalRecord
from cxr.screening.predict import Outcome, record_of, screen
from cxr.screening.read import IN_TURN, ReadOptions
from cxr.screening.schema import Schema
from cxr.screening.storage import Root

THREADS, PINNED = 1, False  # such a process is a core, and there are others on its machine


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """A run, as a helping process sees it.

    Attributes:
        digests: What tells the networks, and all that is applied to them, from others.
        points: The operating point in force of each; empty without decisions.
        root: Where the pictures lie.
        reading: How they are read.
        schema: Of the table.
    """

    digests: Sequence[str]
    points: Sequence[str]
    root: Root
    reading: ReadOptions
    schema: Schema

    def check(self, models: Sequence[ScreeningModel]) -> None:
        """Raise ModelError where `models` are others, because their files were replaced meanwhile."""
        if list(map(_digests, models)) != list(self.digests):
            raise ModelError("the networks were replaced while they were in use; run the same command again")


def worker_config(work: Run) -> WorkerConfig:
    """Return what workers of a run have to do."""
    return WorkerConfig(
        digests=list(map(_digests, work.models)),
        points=[model.operating_point for model in work.models],
        root=work.request.naming.root,
        reading=work.reading,
        schema=work.schema,
    )


def load_all(folders: Sequence[Path]) -> list[ScreeningModel]:
    """Load networks for a core. Raises ModelError where one cannot be loaded."""
    return [load_model(folder, THREADS, PINNED) for folder in folders]


def at_points(models: Sequence[ScreeningModel], points: Sequence[str]) -> list[ScreeningModel]:
    """Return networks at their operating points; where one is empty, the network has none."""
    return [at_operating_point(model, point) if point else model for model, point in zip(models, points, strict=True)]


def _digests(model: ScreeningModel) -> str:
    return f"{model.network_sha256} {model.description_sha256}"


CANNOT_LOAD = 1  # exit status of one that cannot load the networks
ENDED = 2  # and of one that is told to end


def worker_main(
    connection: Connection,
    others: Sequence[Connection],
    candidates: Sequence[Candidate],
    load: Callable[[], list[ScreeningModel]],
) -> None:
    """Screen what comes through `connection`, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the one that is helped closes the connection
    signal.signal(signal.SIGTERM, _end)
    for other in others:  # else they would stay open when that one is gone
        other.close()
    with suppress(EOFError, ConnectionError):
        try:
            models = load()
            config: WorkerConfig = connection.recv()
            config.check(models)
        except CxrError:  # the process that is helped finds the same, and says so
            sys.exit(CANNOT_LOAD)
        models = at_points(models, config.points)
        while True:
            some = [candidates[number] for number in connection.recv()]
            screened = screen(some, config.root, models, IN_TURN, config.reading)
            outcomes = [outcome for outcomes in screened for outcome in outcomes]
            failed = [outcome for outcome in outcomes if outcome.row is not None and outcome.row.reason is not None]
            connection.send(([record_of(outcome, config.schema) for outcome in outcomes], failed))


def _end(*_: object) -> None:
    """End at once, and whatever decodes for this process."""
    isolation.stop()
    os._exit(ENDED)


DISMISSED_SECONDS = 1.0  # that all workers together have to end by themselves
SHUTDOWN_SECONDS = 5.0  # that a worker has to end after it is told to


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What a worker did.

    Attributes:
        numbers: Of the candidates.
        records: Of each, in that order.
        failed: Outcomes of those that have no answer.
    """

    numbers: Sequence[int]
    records: Sequence[JournalRecord]
    failed: Sequence[Outcome]


@dataclass(slots=True)
class _Worker:
    process: multiprocessing.process.BaseProcess
    connection: Connection
    given: deque[Sequence[int]] = field(default_factory=deque)


class WorkerPool:
    """Workers of one run."""

    def __init__(self, size: int, candidates: Sequence[Candidate], load: Callable[[], list[ScreeningModel]]) -> None:
        """Fork `size` workers, who load the networks at once; nothing may have started a thread before.

        Args:
            size: How many.
            candidates: Of which numbers are given.
            load: Gives the networks, for one core.
        """
        context = multiprocessing.get_context("fork")
        self._workers: list[_Worker] = []
        self.crashed: list[str] = []
        for _ in range(size):
            ours, theirs = context.Pipe()
            ends = [worker.connection for worker in self._workers] + [ours]
            process = context.Process(target=worker_main, args=(theirs, ends, candidates, load), daemon=True)
            try:
                process.start()
            except OSError as error:  # this user may have no more processes, so those that are there do its share
                self.crashed.append(f"could not be started: {reason_of(error)}")
                ours.close()
                break
            finally:
                theirs.close()
            self._workers.append(_Worker(process, ours))

    def begin(self, config: WorkerConfig) -> None:
        """Tell the workers what they have to do."""
        for worker in self._workers:
            self._send(worker, config)

    def __len__(self) -> int:
        """Return how many workers are there."""
        return len(self._workers)

    @property
    def busy(self) -> bool:
        """Whether a worker has something that it has not given back."""
        return any(worker.given for worker in self._workers)

    def least(self) -> int:
        """Return how many chunks the worker has that has least of them."""
        return min((len(worker.given) for worker in self._workers), default=0)

    def submit(self, numbers: Sequence[int]) -> None:
        """Give candidates to the worker that has least to do."""
        worker = min(self._workers, key=lambda one: len(one.given))
        worker.given.append(numbers)
        self._send(worker, numbers)

    def done(self, *, waiting: bool) -> Iterator[ChunkResult | Sequence[int]]:
        """Give what workers did since, and the numbers that one had who is no more, of which `crashed` tells.

        Args:
            waiting: Until there is something.
        """
        of = {worker.connection: worker for worker in self._workers}
        for ready in wait(list(of), None if waiting else 0):
            assert isinstance(ready, Connection)
            worker = of[ready]
            try:
                records, failed = ready.recv()
            except (EOFError, OSError):
                self._workers.remove(worker)
                worker.connection.close()
                worker.process.join(SHUTDOWN_SECONDS)
                self.crashed.append(_ending(worker.process.exitcode))
                yield from worker.given
            else:
                yield ChunkResult(worker.given.popleft(), records, failed)

    def shutdown(self) -> None:
        """End the workers; the rows of the few files that those at work have are lost."""
        for worker in self._workers:
            worker.connection.close()
        deadline = time.monotonic() + DISMISSED_SECONDS
        for worker in self._workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(SHUTDOWN_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers.clear()

    def _send(self, worker: _Worker, what: object) -> None:
        with suppress(OSError):  # it is gone; `done` finds out and says so
            worker.connection.send(what)


def _ending(status: int | None) -> str:
    if status is not None and status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"


MOST_QUEUED = 8  # chunks that a worker has before it: what it does while this process has a large file


class _Chunks:
    """What is left to do, a batch at a time."""

    def __init__(self, todo: Sequence[int], size: int) -> None:
        self._todo, self._size, self._next = todo, size, 0
        self.returned: deque[Sequence[int]] = deque()

    def left(self) -> int:
        """Return the number of chunks."""
        return len(self.returned) - (self._next - len(self._todo)) // self._size

    def take(self) -> Sequence[int]:
        """Return the next one that nobody had; empty where there is none."""
        some = list(self._todo[self._next : self._next + self._size])
        self._next += len(some)
        return some


def run_pool(pool: WorkerPool, log: Log, work: Run, todo: Sequence[int], listener: ProgressListener) -> Iterator[Done]:
    """Screen the candidates numbered `todo` with the pool, and give what is in the log, in any order.

    Nobody waits for anybody until the end, where chunks become small. What a worker had that is no more is done here,
    decoded in a child, whatever the format: a file of it may be why.
    """
    chunks = _Chunks(todo, work.batch)
    try:
        pool.begin(worker_config(work))
        while True:
            _feed(pool, chunks)
            is_suspected = bool(chunks.returned)
            mine = chunks.returned.popleft() if is_suspected else chunks.take()
            if mine:
                with suspected(is_suspected):
                    done = _own(mine, log, work, listener)
                yield done
            if not mine and not pool.busy:
                return
            for chunk in pool.done(waiting=not mine):
                if isinstance(chunk, ChunkResult):
                    own = [work.selection.candidates[number].cell for number in chunk.numbers]
                    assert [record.path for record in chunk.records] == own, "records of other files"
                    yield chunk.numbers, log.append(chunk.records)
                    listener.screened(chunk.failed)
                    listener.advanced(len(chunk.numbers) - len(chunk.failed))
                else:
                    chunks.returned.append(chunk)
            while pool.crashed:
                listener.crashed(pool.crashed.pop())
    finally:
        pool.shutdown()


def _feed(pool: WorkerPool, chunks: _Chunks) -> None:
    """Give the workers their chunks: fewer ahead when little is left, so that all end at the same time."""
    ahead = min(MOST_QUEUED, max(2, chunks.left() // (4 * (len(pool) + 1))))
    while len(pool) and pool.least() < ahead and (some := chunks.take()):
        pool.submit(some)


def _own(numbers: Sequence[int], log: Log, work: Run, listener: ProgressListener) -> Done:
    some = [work.selection.candidates[number] for number in numbers]
    batches = screen(some, work.request.naming.root, work.models, IN_TURN, work.reading)
    outcomes = [outcome for batch in batches for outcome in batch]
    places = log.append([record_of(outcome, work.schema) for outcome in outcomes])
    listener.screened(outcomes)
    return numbers, places
