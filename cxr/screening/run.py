"""One run: go on from the journal, screen what is left, write table and manifest; or stream to stdout."""

import io
from array import array
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from cxr.core.errors import DataError
from cxr.core.files import write_json
from cxr.core.records import as_json
from cxr.screening.candidates import Candidate
from cxr.screening.engine import Done, Engine, Log, ProgressListener, Run
from cxr.screening.journal import (
    Fingerprint,
    Journal,
    JournalRecord,
    check_same,
    create_journal,
    fingerprint_of,
    read_fingerprint,
    refuse_leftovers,
    remove_parts,
)
from cxr.screening.predict import record_of, screen
from cxr.screening.read import prefetch
from cxr.screening.run_manifest import (
    MANIFEST_VERSION,
    ListingRecord,
    ResultsRecord,
    RevisionDiff,
    RunManifest,
    RunResult,
    Tally,
    TimesRecord,
    aside_record,
    counts_record,
    drift_records,
    results_record,
    skipped_record,
    tool_record,
)
from cxr.screening.schema import Status
from cxr.screening.storage import FileVersion, Root, store_of
from cxr.screening.summary import summary_rows
from cxr.screening.tables import OutputFiles, digest_of, whole_table, write_table, write_text_table
from cxr.screening.workers import WorkerPool, run_pool


@dataclass(frozen=True, slots=True)
class Clock:
    """When a run began, and how many files it has to screen."""

    started: datetime
    screened_now: int

    def record(self) -> TimesRecord:
        """Return the times of a run that ends now."""
        end = datetime.now(UTC)
        return TimesRecord(
            started=self.started.isoformat(timespec="milliseconds"),
            screened_now=self.screened_now,
            finished=end.isoformat(timespec="milliseconds"),
            seconds=round((end - self.started).total_seconds(), 3),
        )


def finalize(
    journal: Log, work: Run, positions: Sequence[int], files: OutputFiles, fingerprint: Fingerprint, times: Clock
) -> Tally:
    """Write table and manifest of a run whose every candidate is in the journal, at `positions`.

    Raises:
        OutputError: A file cannot be written; the older ones stay.
    """
    tally = Tally(work.schema)
    with whole_table(files.results, partitioned=work.partitioned) as temporary:
        rows = _table_rows(journal, work.selection.candidates, positions, tally)
        write_table(temporary, work.format, work.schema.columns, rows, work.dialect, lambda: summary_rows(tally))
        results = results_record(temporary, files.results.name, work.format, tally, work.dialect)
    computed_on = journal.instructions()
    write_json(files.manifest, _manifest(work, tally, results, fingerprint, times.record(), computed_on))
    return tally


def _table_rows(
    journal: Log, candidates: Sequence[Candidate], positions: Sequence[int], tally: Tally
) -> Iterator[list[str]]:
    for candidate, position in zip(candidates, positions, strict=True):
        record = journal.record_at(position)
        assert record.path == candidate.cell, "the journal gives another file's row"
        if record.cells is not None:
            cells = [record.path, *record.cells]
            tally.count(cells)
            yield cells
        else:
            tally.not_images.append(candidate.cell)


def _manifest(
    work: Run,
    tally: Tally,
    results: ResultsRecord,
    fingerprint: Fingerprint,
    times: TimesRecord,
    computed_on: set[str],
) -> RunManifest:
    request, heads = work.request, work.schema.heads
    earlier = request.earlier.computed_on if request.earlier else set()
    sources = request.model_sources or [None] * len(heads)
    return RunManifest(
        manifest=MANIFEST_VERSION,
        tool=tool_record(computed_on.union(earlier)),
        models=tuple(replace(head.record, dvc=source) for head, source in zip(heads, sources, strict=True)),
        gate=work.schema.gate,
        request=request.record,
        results=results,
        counts=counts_record(skipped_record(work.found, work.selection, tally), tally),
        drift=drift_records(tally),
        aside=aside_record(work.found, tally),
        listing=ListingRecord(len(work.found.candidates), work.selection.listing),
        fingerprint=fingerprint,
        times=times,
        references={head.identity: head.reference for head in heads if head.reference},
    )


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """This machine, and one journal.

    Attributes:
        pool: Processes that screen beside this one, each file by file; None: this one alone, with threads that read.
    """

    pool: WorkerPool | None = None

    def opened(self, files: OutputFiles, fingerprint: Fingerprint, *, overwrite: bool) -> Journal:
        """See `Engine`."""
        begun = None if overwrite else read_fingerprint(files.journal)
        if begun is None and not overwrite:
            refuse_leftovers(files, files.parts, "ray")
        if begun is None:
            remove_parts(files.parts)
            return create_journal(files.journal, fingerprint)
        check_same(begun, fingerprint, str(files.journal))
        return Journal(files.journal)

    def screened(self, log: Log, work: Run, todo: Sequence[int], listener: ProgressListener) -> Iterator[Done]:
        """See `Engine`; in the order of `todo` where there is no pool."""
        if self.pool is not None:
            yield from run_pool(self.pool, log, work, todo, listener)
            return
        candidates = work.selection.candidates
        waiting = iter(todo)
        chosen = (candidates[number] for number in todo)
        root, models = work.request.naming.root, work.models
        screened = screen(chosen, root, models, work.workers, work.reading, work.batch)
        for outcomes in screened:
            numbers = [next(waiting) for _ in outcomes]
            assert all(o.candidate == candidates[n] for o, n in zip(outcomes, numbers, strict=True)), "out of order"
            yield numbers, log.append([record_of(outcome, work.schema) for outcome in outcomes])
            listener.screened(outcomes)


LOCAL: Engine = LocalEngine()
NOT_DONE = -1
KEPT_AT_ONCE = 1000
VERSIONS_AHEAD = 256


def run(
    work: Run, files: OutputFiles, listener: ProgressListener, *, overwrite: bool = False, engine: Engine = LOCAL
) -> Tally:
    """Screen what is not done yet, then write table and manifest. The caller holds the lock of `files`.

    Raises:
        ResumeError: The journal there was begun with something else, or the table there has none.
        OutputError: A file cannot be written.
        ModelError: A network's output does not belong to its description.
        DataError: The connection to the files is lost, or the earlier table is of another revision.
    """
    started = datetime.now(UTC)
    request, schema = work.request, work.schema
    fingerprint = fingerprint_of(work.models, request.naming, schema.keywords, any_dicom=schema.any_dicom)
    if request.earlier and request.changes:
        _check_baseline(request.earlier, fingerprint, request.changes.since.commit)
    with engine.opened(files, fingerprint, overwrite=overwrite) as journal:
        if request.earlier and request.changes:
            _keep(
                journal,
                _baseline_records(request.earlier, request.changes, work.selection.candidates, request.naming.root),
            )
        positions, retried, others = done_before(journal, work)
        todo = array("Q", (number for number, position in enumerate(positions) if position == NOT_DONE))
        listener.resumed(len(positions) - len(todo), retried, len(positions), others)
        _screen(engine, journal, work, todo, positions, listener)
        journal.sync()
        return finalize(journal, work, positions, files, fingerprint, Clock(started, len(todo)))


def _keep(journal: Log, records: Iterator[JournalRecord]) -> None:
    """Note what still holds of an earlier table, unless a run that was ended has noted it, or better."""
    known = {record.path: record.stamp for _, record in journal.records()}
    missing = (record for record in records if known.get(record.path) != record.stamp)
    while some := list(islice(missing, KEPT_AT_ONCE)):
        journal.append(some)


def _check_baseline(earlier: RunResult, fingerprint: Fingerprint, commit: str) -> None:
    """Refuse an earlier table whose rows must not stand beside new ones.

    Raises:
        ResumeError: It was made with something else; says with what.
        DataError: It is not of that revision, or not what its manifest describes.
    """
    path = earlier.path
    begun = as_json(earlier.manifest.fingerprint)
    check_same(begun, fingerprint, str(path), "leave out --earlier, and screen every file")
    made_at = (earlier.manifest.request.dvc or {}).get("commit")
    if made_at != commit:
        raise DataError(
            f"{path} was made at {made_at or 'no revision of DVC'}, --changed-since is {commit}; name that revision "
            "there, or the table of this one"
        )
    if digest_of(path) != earlier.manifest.results.sha256:
        raise DataError(f"{path} is not what its manifest describes; run cxr-verify on it")


def _baseline_records(
    earlier: RunResult, changes: RevisionDiff, candidates: Sequence[Candidate], root: Root
) -> Iterator[JournalRecord]:
    """Give the journal's records of unchanged files, from the rows of the earlier table."""
    store = store_of(root)
    no_image = set(earlier.manifest.aside.not_an_image)
    rows = earlier.rows()
    row = next(rows, None)
    for candidate in candidates:
        while row is not None and row["path"] < candidate.cell:
            row = next(rows, None)
        if candidate.cell not in changes.unchanged:
            continue
        if row is not None and row["path"] == candidate.cell:
            yield JournalRecord(candidate.cell, store.stamp(candidate), tuple(row.values())[1:])
        elif candidate.cell in no_image:
            yield JournalRecord(candidate.cell, store.stamp(candidate))


def done_before(journal: Log, work: Run) -> "tuple[array[int], int, int]":
    """Return where in the journal each candidate's valid record starts, and how many failed or are no images.

    Valid is the last record of a file that has not been replaced since, and that did not fail. What was rejected did
    not fail: another try gives the same.
    """
    latest = {record.path: position for position, record in journal.records()}
    positions, retried, others = array("q"), 0, 0
    candidates = work.selection.candidates
    for candidate, stamp in zip(candidates, _versions(candidates, latest, work.request.naming.root), strict=True):
        position = latest.get(candidate.cell, NOT_DONE)
        if position != NOT_DONE:
            record = journal.record_at(position)
            failed = record.cells is not None and record.cells[0] == Status.ERROR
            retried += failed
            same = record.stamp == stamp != ()
            if failed or not same or (record.cells is None and candidate.named):
                position = NOT_DONE
            others += position != NOT_DONE and record.cells is None
        positions.append(position)
    return positions, retried, others


def _versions(candidates: Sequence[Candidate], known: Container[str], root: Root) -> Iterator[FileVersion]:
    """Give the stamp of each candidate that is `known`, else an empty one; some servers want a request for each."""
    store = store_of(root)

    def stamp(candidate: Candidate) -> FileVersion:
        return store.stamp(candidate) if candidate.cell in known else ()

    if isinstance(root, Path):
        return map(stamp, candidates)
    return prefetch(stamp, candidates, store.workers, VERSIONS_AHEAD, store.stop)


def _screen(
    engine: Engine, log: Log, work: Run, todo: Sequence[int], positions: "array[int]", listener: ProgressListener
) -> None:
    """Screen the candidates numbered `todo` and note where the record of each is."""
    for numbers, places in engine.screened(log, work, todo, listener):
        for number, place in zip(numbers, places, strict=True):
            assert positions[number] == NOT_DONE, "a file was screened twice"
            positions[number] = place
    assert NOT_DONE not in positions, "a file was left out"


def stream_table(work: Run, stream: BinaryIO, listener: ProgressListener) -> Tally:
    """Screen everything and write CSV or JSON Lines as UTF-8 to `stream`, a line at a time."""
    tally = Tally(work.schema)
    # A wrapper of its own, so that neither the locale nor the platform changes encoding or line ends.
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    try:
        rows = _streamed_rows(work, tally, text, listener)
        write_text_table(text, work.format, work.schema.columns, rows, work.dialect)
        text.flush()
    finally:
        text.detach()
    return tally


def _streamed_rows(work: Run, tally: Tally, text: io.TextIOWrapper, listener: ProgressListener) -> Iterator[list[str]]:
    candidates = work.selection.candidates
    listener.resumed(0, 0, len(candidates), 0)
    root, models = work.request.naming.root, work.models
    screened = screen(candidates, root, models, work.workers, work.reading)
    for outcomes in screened:
        for outcome in outcomes:
            if outcome.row is None:
                tally.not_images.append(outcome.candidate.cell)
                continue
            cells = work.schema.cells(outcome.row)
            tally.count(cells)
            yield cells
        text.flush()
        listener.screened(outcomes)
