"""Join the tables of all shards into the table that one run would have written."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from cxr.core.errors import DataError
from cxr.core.files import whole_file, write_json
from cxr.screening.discovery import Shard
from cxr.screening.journal import PARTS
from cxr.screening.paths import printable
from cxr.screening.run_manifest import (
    ResultsRecord,
    RunManifest,
    RunResult,
    ShardRecord,
    Tally,
    TimesRecord,
    counts_record,
    drift_records,
    formats_record,
    results_record,
)
from cxr.screening.summary import summary_rows
from cxr.screening.tables import Dialect, Format, OutputFiles, digest_of, write_table


def merge(shards: Sequence[RunResult], files: OutputFiles, wanted: Format, dialect: Dialect = Dialect.PLAIN) -> Tally:
    """Write table and manifest of all shards together.

    Args:
        shards: Every shard of one run once, in any order; or one whole table, which is then written in another form.
        files: Where to.
        wanted: Form of the joined table.
        dialect: Of CSV.

    Raises:
        DataError: A shard is absent, comes twice, has changed, or belongs to another run.
    """
    whole = len(shards) == 1 and shards[0].manifest.request.shard is None
    if whole:
        _check_bytes(shards[0])
    else:
        check_shards(shards)
    tally = Tally(shards[0].schema)
    tally.not_images.extend(sorted(name for shard in shards for name in shard.manifest.aside.not_an_image))
    with whole_file(files.results) as temporary:
        rows = _rows(shards, tally)
        write_table(temporary, wanted, tally.schema.columns, rows, dialect, lambda: summary_rows(tally))
        results = results_record(temporary, files.results.name, wanted, tally, dialect)
    manifest = replace(shards[0].manifest, results=results) if whole else _manifest(shards, tally, results)
    write_json(files.manifest, manifest)
    return tally


def check_shards(shards: Sequence[RunResult]) -> None:
    """Refuse what would not join to the table of one run. Raises DataError that names the first difference."""
    first = shards[0]
    numbers: dict[int, Path] = {}
    for shard in shards:
        part = _part(shard)
        if part.of != _part(first).of:
            raise DataError(f"{shard.path} is shard {part}, {first.path} is {_part(first)}: not of one division")
        if part.number in numbers:
            raise DataError(f"{shard.path} and {numbers[part.number]} are both shard {part}; give each once")
        numbers[part.number] = shard.path
        _check_equal(shard, first)
        _check_bytes(shard)
    missing = [str(number) for number in range(1, _part(first).of + 1) if number not in numbers]
    if missing:
        raise DataError(f"of {_part(first).of} shards, {', '.join(missing)} missing; give the tables of all")


def _part(shard: RunResult) -> Shard:
    text = shard.manifest.request.shard
    if text is None:
        raise DataError(f"{shard.path} was not written with --shard; expected the tables of shards")
    return Shard.parse(text)


def _check_bytes(table: RunResult) -> None:
    if digest_of(table.path) != table.manifest.results.sha256:
        raise DataError(f"{table.path} is not what its manifest describes; run cxr-verify on it")


def _check_equal(shard: RunResult, first: RunResult) -> None:
    for part in PARTS.keys() - {"root"}:  # machines may mount a share at different places
        if getattr(shard.manifest.fingerprint, part) != getattr(first.manifest.fingerprint, part):
            raise DataError(f"{shard.path} and {first.path} were made with different {part}; see their manifests")
    if shard.manifest.request.limit is not None:
        raise DataError(f"{shard.path} was made with --limit: its shard is not complete")
    if shard.manifest.listing != first.manifest.listing:
        counts = [f"{one.path} {one.manifest.listing.files:,} files" for one in (first, shard)]
        raise DataError(
            f"the shards saw different folders ({', '.join(counts)}); run them again, they go on where they stopped"
        )


def _rows(shards: Sequence[RunResult], tally: Tally) -> Iterator[list[str]]:
    last = ""
    for row in heapq.merge(*(shard.rows() for shard in shards), key=lambda row: row["path"]):
        if row["path"] <= last:
            raise DataError(f"{row['path']} stands in two shards, or a shard is not sorted")
        last, cells = row["path"], list(row.values())
        tally.count(cells)
        yield cells


def _manifest(shards: Sequence[RunResult], tally: Tally, results: ResultsRecord) -> RunManifest:
    ordered = sorted(shards, key=lambda shard: _part(shard).number)
    manifests = [shard.manifest for shard in ordered]
    first, times = manifests[0], [manifest.times for manifest in manifests]
    skipped = replace(first.counts.skipped_because, not_an_image=len(tally.not_images), other_shards=0)
    computed_on = set[str]().union(*(shard.computed_on for shard in ordered))
    return replace(
        first,
        tool=replace(first.tool, instructions=tuple(sorted(computed_on))),
        request=replace(first.request, shard=None, arguments=None),
        results=results,
        counts=counts_record(skipped, tally),
        drift=drift_records(tally),
        aside=replace(first.aside, not_an_image=tuple(tally.not_images), formats_not_read=formats_record(tally)),
        times=TimesRecord(
            started=min(one.started for one in times),
            finished=max(one.finished for one in times),
            seconds=round(sum(one.seconds for one in times), 3),
        ),
        merged_from=tuple(
            ShardRecord(str(_part(shard)), printable(shard.path.name), shard.manifest.results.sha256)
            for shard in ordered
        ),
    )
