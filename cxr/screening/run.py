"""One run: go on from the journal, screen what is left, write table and manifest; or stream to stdout."""

import io
from array import array
from collections.abc import Container, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice, zip_longest
from pathlib import Path
from typing import BinaryIO

from cxr.core.errors import OutputError
from cxr.core.files import JsonObject, write_json
from cxr.inference.gate import GATE_REASONS
from cxr.inference.model_folder import ScreeningModel
from cxr.screening.candidates import Candidate
from cxr.screening.engine import Engine, Log, ProgressListener, Run
from cxr.screening.output import OutputFiles
from cxr.screening.predict import screen
from cxr.screening.read import prefetch
from cxr.screening.resume import baseline_records, check_baseline, fingerprint_of
from cxr.screening.run_manifest import (
    MANIFEST_VERSION,
    Tally,
    aside_facts,
    count_facts,
    drift_facts,
    request_facts,
    results_facts,
    skipped_files,
    tool_facts,
)
from cxr.screening.schema import Status, decision_record, members_of
from cxr.screening.storage import FileVersion, Root, store_of
from cxr.screening.tables import whole_table, write_table, write_text_table
from cxr.screening.workers import LocalEngine


def finalize(
    journal: Log,
    work: Run,
    positions: Sequence[int],
    files: OutputFiles,
    fingerprint: JsonObject,
    times: JsonObject,
) -> Tally:
    """Write table and manifest of a run whose every candidate is in the journal, at `positions`.

    Raises:
        OutputError: A file cannot be written; the older ones stay.
    """
    tally = Tally(work.schema)
    try:
        with whole_table(files.results, partitioned=work.partitioned) as temporary:
            rows = _table_rows(journal, work.selection.candidates, positions, tally)
            write_table(temporary, work.format, work.schema.columns, rows)
            results = results_facts(temporary, files.results.name, work.format, tally)
        write_json(
            files.manifest, _manifest(work, tally, results, fingerprint, _finished(times), journal.instructions())
        )
    except OSError as error:
        raise OutputError(
            f"cannot write {files.results}: {error.strerror}; the journal keeps what was done: make room and run the "
            f"same command again"
        ) from error
    return tally


def _table_rows(
    journal: Log, candidates: Sequence[Candidate], positions: Sequence[int], tally: Tally
) -> Iterator[list[str]]:
    for candidate, position in zip(candidates, positions, strict=True):
        record = journal.record_at(position)
        assert record["path"] == candidate.cell, "the journal gives another file's row"
        if "cells" in record:
            cells = [record["path"], *record["cells"]]
            tally.count(cells)
            yield cells
        else:
            tally.not_images.append(candidate.cell)


def _manifest(
    work: Run,
    tally: Tally,
    results: JsonObject,
    fingerprint: JsonObject,
    times: JsonObject,
    computed_on: set[str],
) -> JsonObject:
    earlier = work.request.earlier.computed_on if work.request.earlier else set()
    return {
        "manifest": MANIFEST_VERSION,
        "tool": tool_facts(computed_on.union(earlier)),
        "models": [
            model_facts(model) | ({"dvc": source} if source else {})
            for model, source in zip_longest(work.models, work.request.model_sources)
        ],
        "gate": work.schema.gate and work.schema.gate.facts(),
        "request": request_facts(work.request),
        "results": results,
        "counts": count_facts(skipped_files(work.found, work.selection, tally), tally),
        "drift": drift_facts(tally),
        "aside": aside_facts(work.found, tally),
        "listing": {"files": len(work.found.candidates), "sha256": work.selection.listing},
        "fingerprint": fingerprint,
        "times": times,
        "references": reference_facts(work.models),
    }


def reference_facts(models: Sequence[ScreeningModel]) -> JsonObject:
    """Return what rows were compared with, so that joined tables can be compared too; last, for its length."""
    applied = ((model.identity, decision_record(model)) for model in models)
    return {identity: one.reference_facts() for identity, one in applied if one and one.reference}


def model_facts(model: ScreeningModel) -> JsonObject:
    """Say which network answered and what it was trained on."""
    description, applied = model.description, decision_record(model)
    return {
        "model": model.identity,
        "name": description["name"],
        "sha256": model.network_sha256,
        "description_sha256": model.description_sha256,
        "classes": list(model.classes),
        "members": list(members_of(description)),
        "side": model.plane_side,
        "decisions": applied and applied.facts(model.classes) | {"sha256": description["decisions"]["sha256"]},
        "data_sha256": description["data"].get("sha256"),
        "synthetic": int(description["data"].get("synthetic_images", 0)) > 0,
        "commit": description.get("commit"),
    }


def _finished(times: JsonObject) -> JsonObject:
    end = datetime.now(UTC)
    seconds = (end - datetime.fromisoformat(times["started"])).total_seconds()
    return times | {"finished": end.isoformat(timespec="milliseconds"), "seconds": round(seconds, 3)}


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
    times = {"started": datetime.now(UTC).isoformat(timespec="milliseconds")}
    fingerprint = fingerprint_of(work.models, work.request.naming, work.keywords)
    request = work.request
    if request.earlier and request.changes:
        check_baseline(request.earlier, fingerprint, request.changes.since["commit"])
    with engine.opened(files, fingerprint, overwrite=overwrite) as journal:
        if request.earlier and request.changes:
            _keep(
                journal,
                baseline_records(request.earlier, request.changes, work.selection.candidates, request.naming.root),
            )
        positions, retried = done_before(journal, work)
        todo = array("Q", (number for number, position in enumerate(positions) if position == NOT_DONE))
        listener.resumed(len(positions) - len(todo), retried, len(positions))
        _screen(engine, journal, work, todo, positions, listener)
        journal.sync()
        return finalize(journal, work, positions, files, fingerprint, times | {"screened_now": len(todo)})


def _keep(journal: Log, records: Iterator[JsonObject]) -> None:
    """Note what still holds of an earlier table, unless a run that was ended has noted it, or better."""
    known = {record["path"]: tuple(record["stamp"]) for _, record in journal.records()}
    missing = (record for record in records if known.get(record["path"]) != record["stamp"])
    while some := list(islice(missing, KEPT_AT_ONCE)):
        journal.append(some)


def done_before(journal: Log, work: Run) -> "tuple[array[int], int]":
    """Return where in the journal each candidate's valid record starts, and how many failed before.

    Valid is the last record of a file that has not been replaced since, and that did not fail. The same gate rejects
    the same picture again.
    """
    latest = {record["path"]: position for position, record in journal.records()}
    positions, retried = array("q"), 0
    candidates = work.selection.candidates
    for candidate, stamp in zip(candidates, _versions(candidates, latest, work.request.naming.root), strict=True):
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
    """Screen everything and write CSV or JSON Lines as UTF-8 to `stream`, flushed after each batch."""
    tally = Tally(work.schema)
    # A wrapper of its own, so that neither the locale nor the platform changes encoding or line ends.
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    try:
        write_text_table(text, work.format, work.schema.columns, _streamed_rows(work, tally, text, listener))
        text.flush()
    finally:
        text.detach()
    return tally


def _streamed_rows(work: Run, tally: Tally, text: io.TextIOWrapper, listener: ProgressListener) -> Iterator[list[str]]:
    candidates = work.selection.candidates
    listener.resumed(0, 0, len(candidates))
    for outcomes in screen(candidates, work.request.naming.root, work.models, work.workers, work.keywords):
        for outcome in outcomes:
            if outcome.row is None:
                tally.not_images.append(outcome.candidate.cell)
                continue
            cells = work.schema.cells(outcome.row)
            tally.count(cells)
            yield cells
        text.flush()
        listener.screened(outcomes)
