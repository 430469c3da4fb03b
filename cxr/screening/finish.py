"""The end of a run: the table in its order from the journal, whole, and then the manifest."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import zip_longest

from cxr.errors import OutputError
from cxr.files import JsonObject, write_json
from cxr.screening.applied import applied_of, members_of
from cxr.screening.candidates import Candidate
from cxr.screening.engines import Log
from cxr.screening.output import OutputFiles
from cxr.screening.partitions import whole_table
from cxr.screening.run_manifest import (
    MANIFEST_VERSION,
    aside_facts,
    count_facts,
    drift_facts,
    request_facts,
    results_facts,
    skipped_files,
    tool_facts,
)
from cxr.screening.tables import write_table
from cxr.screening.tally import Tally
from cxr.screening.work import ScreeningModel, Work


def finish(
    journal: Log,
    work: Work,
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
            rows = _rows(journal, work.selection.candidates, positions, tally)
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


def _rows(journal: Log, candidates: Sequence[Candidate], positions: Sequence[int], tally: Tally) -> Iterator[list[str]]:
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
    work: Work,
    tally: Tally,
    results: JsonObject,
    fingerprint: JsonObject,
    times: JsonObject,
    computed_on: set[str],
) -> JsonObject:
    earlier = work.asked.earlier.computed_on if work.asked.earlier else set()
    return {
        "manifest": MANIFEST_VERSION,
        "tool": tool_facts(computed_on.union(earlier)),
        "models": [
            model_facts(model) | ({"dvc": source} if source else {})
            for model, source in zip_longest(work.models, work.asked.model_sources)
        ],
        "gate": work.schema.gate and work.schema.gate.facts(),
        "request": request_facts(work.asked),
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
    applied = ((model.identity, applied_of(model)) for model in models)
    return {identity: one.reference_facts() for identity, one in applied if one and one.reference}


def model_facts(model: ScreeningModel) -> JsonObject:
    """Say which network answered and what it was trained on."""
    description, applied = model.description, applied_of(model)
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
