"""One run: go on from the journal, screen what is left, write table and manifest."""

from array import array
from collections.abc import Container, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from cxr.files import JsonObject
from cxr.flags import GATE_REASONS
from cxr.screening.ahead import work_ahead
from cxr.screening.candidates import Candidate
from cxr.screening.earlier import check_earlier, kept_records
from cxr.screening.engines import Engine, LocalEngine, Log
from cxr.screening.fingerprint import fingerprint_of
from cxr.screening.finish import finish
from cxr.screening.local import store_of
from cxr.screening.output import OutputFiles
from cxr.screening.rows import Status
from cxr.screening.store import Root, Stamp
from cxr.screening.tally import Tally
from cxr.screening.work import Watcher, Work

LOCAL: Engine = LocalEngine()
NOT_DONE = -1
KEPT_AT_ONCE = 1000
STAMPS_AHEAD = 256


def run(work: Work, files: OutputFiles, watcher: Watcher, *, overwrite: bool = False, engine: Engine = LOCAL) -> Tally:
    """Screen what is not done yet, then write table and manifest. The caller holds the lock of `files`.

    Raises:
        ResumeError: The journal there was begun with something else, or the table there has none.
        OutputError: A file cannot be written.
        ModelError: A network's output does not belong to its description.
        DataError: The connection to the files is lost, or the earlier table is of another revision.
    """
    times = {"started": datetime.now(UTC).isoformat(timespec="milliseconds")}
    fingerprint = fingerprint_of(work.models, work.asked.naming, work.keywords)
    asked = work.asked
    if asked.earlier and asked.changes:
        check_earlier(asked.earlier, fingerprint, asked.changes.since["commit"])
    with engine.opened(files, fingerprint, overwrite=overwrite) as journal:
        if asked.earlier and asked.changes:
            _keep(journal, kept_records(asked.earlier, asked.changes, work.selection.candidates, asked.naming.root))
        positions, retried = done_before(journal, work)
        todo = array("Q", (number for number, position in enumerate(positions) if position == NOT_DONE))
        watcher.resumed(len(positions) - len(todo), retried, len(positions))
        _screen(engine, journal, work, todo, positions, watcher)
        journal.sync()
        return finish(journal, work, positions, files, fingerprint, times | {"screened_now": len(todo)})


def _keep(journal: Log, records: Iterator[JsonObject]) -> None:
    """Note what still holds of an earlier table, unless a run that was ended has noted it, or better."""
    known = {record["path"]: tuple(record["stamp"]) for _, record in journal.records()}
    missing = (record for record in records if known.get(record["path"]) != record["stamp"])
    while some := list(islice(missing, KEPT_AT_ONCE)):
        journal.append(some)


def done_before(journal: Log, work: Work) -> "tuple[array[int], int]":
    """Return where in the journal each candidate's valid record starts, and how many failed before.

    Valid is the last record of a file that has not been replaced since, and that did not fail. The same gate rejects
    the same picture again.
    """
    latest = {record["path"]: position for position, record in journal.records()}
    positions, retried = array("q"), 0
    candidates = work.selection.candidates
    for candidate, stamp in zip(candidates, _stamps(candidates, latest, work.asked.naming.root), strict=True):
        position = latest.get(candidate.cell, NOT_DONE)
        if position != NOT_DONE:
            record = journal.record_at(position)
            failed = "cells" in record and record["cells"][0] != Status.OK and record["cells"][1] not in GATE_REASONS
            retried += failed
            same = tuple(record["stamp"]) == stamp != ()
            if failed or not same or ("cells" not in record and candidate.named):
                position = NOT_DONE
        positions.append(position)
    return positions, retried


def _stamps(candidates: Sequence[Candidate], known: Container[str], root: Root) -> Iterator[Stamp]:
    """Give the stamp of each candidate that is `known`, else an empty one; some servers want a request for each."""
    store = store_of(root)

    def stamp(candidate: Candidate) -> Stamp:
        return store.stamp(candidate) if candidate.cell in known else ()

    if isinstance(root, Path):
        return map(stamp, candidates)
    return work_ahead(stamp, candidates, store.workers, STAMPS_AHEAD, store.stop)


def _screen(
    engine: Engine, log: Log, work: Work, todo: Sequence[int], positions: "array[int]", watcher: Watcher
) -> None:
    """Screen the candidates numbered `todo` and note where the record of each is."""
    for numbers, places in engine.screened(log, work, todo, watcher):
        for number, place in zip(numbers, places, strict=True):
            assert positions[number] == NOT_DONE, "a file was screened twice"
            positions[number] = place
    assert NOT_DONE not in positions, "a file was left out"
