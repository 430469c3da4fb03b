"""One run: go on from the journal, screen what is left, write table and manifest."""

from array import array
from collections.abc import Container, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from cxr.errors import OutputError, ResumeError
from cxr.files import JsonObject
from cxr.flags import GATE_REASONS
from cxr.screening.ahead import work_ahead
from cxr.screening.earlier import check_earlier, kept_records
from cxr.screening.engine import Outcome, screen
from cxr.screening.fingerprint import check_same, fingerprint_of
from cxr.screening.finish import finish
from cxr.screening.journal import Journal, create_journal, read_header
from cxr.screening.local import store_of
from cxr.screening.output import OutputFiles
from cxr.screening.query import Candidate
from cxr.screening.rows import Status
from cxr.screening.store import Root, Stamp
from cxr.screening.tally import Tally
from cxr.screening.work import Watcher, Work

NOT_DONE = -1
KEPT_AT_ONCE = 1000
STAMPS_AHEAD = 256
Positions = "array[int]"


def run(work: Work, files: OutputFiles, watcher: Watcher, *, overwrite: bool = False) -> Tally:
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
    with open_journal(files, fingerprint, overwrite=overwrite) as journal:
        if asked.earlier and asked.changes:
            _keep(journal, kept_records(asked.earlier, asked.changes, work.selection.candidates, asked.naming.root))
        positions, retried = _done_before(journal, work)
        todo = [number for number, position in enumerate(positions) if position == NOT_DONE]
        watcher.resumed(len(positions) - len(todo), retried, len(positions))
        _screen(journal, work, todo, positions, watcher)
        journal.sync()
        return finish(journal, work, positions, files, fingerprint, times | {"screened_now": len(todo)})


def _keep(journal: Journal, records: Iterator[JsonObject]) -> None:
    """Note what still holds of an earlier table, unless a run that was ended has noted it, or better."""
    known = {record["path"]: tuple(record["stamp"]) for _, record in journal.records()}
    missing = (record for record in records if known.get(record["path"]) != record["stamp"])
    while some := list(islice(missing, KEPT_AT_ONCE)):
        journal.append(some)


def open_journal(files: OutputFiles, fingerprint: JsonObject, *, overwrite: bool) -> Journal:
    """Open the journal of an earlier run with the same fingerprint, or begin one.

    Raises:
        ResumeError: There is a journal with another fingerprint, or a table without a journal.
        OutputError: It cannot be written.
    """
    header = None if overwrite else read_header(files.journal)
    if header is not None:
        check_same(header["fingerprint"], fingerprint, str(files.journal))
        try:
            return Journal(files.journal)
        except OSError as error:
            raise OutputError(f"cannot write {files.journal}: {error.strerror}") from error
    if files.results.exists() and not overwrite:
        raise ResumeError(
            f"{files.results} exists, but {files.journal.name}, which tells how it was made, does not: give another "
            f"output, or replace it with --overwrite"
        )
    return create_journal(files.journal, {"fingerprint": fingerprint})


def _done_before(journal: Journal, work: Work) -> "tuple[array[int], int]":
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


def _screen(journal: Journal, work: Work, todo: Sequence[int], positions: "array[int]", watcher: Watcher) -> None:
    """Screen the candidates numbered `todo`, append each batch to the journal and note its positions."""
    candidates = work.selection.candidates
    waiting = iter(todo)
    chosen = (candidates[number] for number in todo)
    for outcomes in screen(chosen, work.asked.naming.root, work.models, work.workers, work.keywords):
        starts = journal.append([_record(outcome, work) for outcome in outcomes])
        for outcome, start in zip(outcomes, starts, strict=True):
            number = next(waiting)
            assert outcome.candidate is candidates[number], "outcomes are out of order"
            positions[number] = start
        watcher.screened(outcomes)


def _record(outcome: Outcome, work: Work) -> JsonObject:
    record: JsonObject = {"path": outcome.candidate.cell, "stamp": outcome.stamp}
    return record if outcome.row is None else record | {"cells": work.schema.cells(outcome.row)[1:]}
