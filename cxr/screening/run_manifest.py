"""The manifest beside a table: what it was made from, by what, and counts that add up; written and read."""

import platform
from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib import metadata
from pathlib import Path

import numpy as np

from cxr import __version__
from cxr.core.errors import DataError, Reason
from cxr.core.files import read_json, real, reason_of
from cxr.core.records import from_json
from cxr.imaging.formats import Unread, unread_by_detail, unread_by_name
from cxr.inference.decisions import Reference, ReferReason
from cxr.inference.gate import GateRecord
from cxr.screening.candidates import Candidate, Found, Query
from cxr.screening.discovery import Selection, Shard
from cxr.screening.drift import DriftCounts, DriftRecord
from cxr.screening.journal import Fingerprint
from cxr.screening.paths import Naming, PathStyle, cleaned, escape, printable
from cxr.screening.schema import SCHEMA_VERSION, ModelColumns, ModelRecord, Schema, Status, schema_of
from cxr.screening.storage import GitRevision, Provenance, Revisions, git_revision, store_of
from cxr.screening.tables import (
    Dialect,
    Format,
    OutputFiles,
    bytes_of,
    digest_of,
    is_partitioned,
    partitions_of,
    read_table,
)

MANIFEST_VERSION = 1
ABSENT = {"absent": True}  # None has no key
LIBRARIES = ("filelock", "imagecodecs", "isal", "numpy", "openvino", "pillow", "pydicom", "rich", "simplejpeg", "typer")


@dataclass(frozen=True, slots=True)
class ToolRecord:
    """What made a table: versions of the tool, of Python and of the libraries, and the tool's commit in a checkout.

    Attributes:
        instructions: Classes of the processors that the rows were computed on, see `cxr.core.process.instructions`;
            sorted.
    """

    name: str
    version: str
    git: GitRevision | None
    python: str
    libraries: Mapping[str, str]
    instructions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DiffRecord:
    """What a revision has of the earlier one that --changed-since named: numbers of files, cells of those deleted."""

    rev: str
    commit: str
    new: int
    changed: int
    unchanged: int
    deleted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EarlierRecord:
    """The table whose rows of unchanged files were kept."""

    file: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """Arguments and selection; where names are hashed, None for whatever names a file or a folder.

    Attributes:
        root: That relative paths start from, escaped.
        paths: A `PathStyle`.
        git: Revision of what was screened, where known.
        dvc: Likewise.
    """

    arguments: tuple[str, ...] | None
    root: str | None
    paths: str
    recursive: bool
    include: tuple[str, ...] | None
    exclude: tuple[str, ...] | None
    shard: str | None
    limit: int | None
    git: GitRevision | None
    dvc: Provenance | None
    changed_since: DiffRecord | None = field(default=None, metadata=ABSENT)
    earlier: EarlierRecord | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True, slots=True)
class ResultsRecord:
    """The table.

    Attributes:
        schema: Version of docs/results-csv.md.
        partitions: Number of files of a table that is a folder.
        dialect: Of CSV, where it is another than `plain`.
    """

    file: str
    format: Format
    schema: int
    columns: tuple[str, ...]
    rows: int
    bytes: int
    sha256: str
    partitions: int | None = field(default=None, metadata=ABSENT)
    dialect: Dialect | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True, slots=True)
class SkippedRecord:
    """Numbers of files that have no row, by the reason."""

    not_an_image: int
    special: int
    hidden: int
    excluded: int
    other_shards: int
    beyond_limit: int
    unchanged: int | None = field(default=None, metadata=ABSENT)

    @property
    def total(self) -> int:
        """All of them."""
        left_aside = self.special + self.hidden + self.excluded + self.other_shards + self.beyond_limit
        return self.not_an_image + left_aside + (self.unchanged or 0)


@dataclass(frozen=True, slots=True)
class CountsRecord:
    """Counts of files: discovered = ok + rejected + error + skipped.

    Attributes:
        predictions: By network and class.
        decisions: By network and word, with `refer_reasons` by reason and `in_training_set`.
        agreement: Only with several networks.
    """

    discovered: int
    ok: int
    rejected: int
    error: int
    skipped: int
    skipped_because: SkippedRecord
    reasons: Mapping[str, int]
    flags: Mapping[str, int]
    predictions: Mapping[str, Mapping[str, int]]
    decisions: Mapping[str, Mapping[str, int | Mapping[str, int]]]
    agreement: Mapping[str, int] | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True, slots=True)
class FolderRecord:
    """A folder that was not searched."""

    path: str
    because: str


@dataclass(frozen=True, slots=True)
class AsideRecord:
    """The files without a row that nobody asked to leave aside, and the folders that were not searched.

    Attributes:
        formats_not_read: Numbers of files by the format, with a row and without; None where there are none.
    """

    not_an_image: tuple[str, ...]
    special: tuple[str, ...]
    folders_not_searched: Mapping[str, int]
    folders: tuple[FolderRecord, ...]
    formats_not_read: Mapping[str, int] | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True, slots=True)
class ListingRecord:
    """All files found, before shard and limit: their number, and the SHA-256 over their names."""

    files: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimesRecord:
    """When a run was at work: UTC in ISO 8601, and seconds.

    Attributes:
        screened_now: Files that this run screened, after those of earlier ones; None of a joined table.
    """

    started: str
    screened_now: int | None = field(default=None, metadata=ABSENT)
    finished: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """A table that was joined with others."""

    shard: str
    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class RunManifest:
    """What a table was made from, by what, and what is in it; its members are the keys of the JSON file.

    Attributes:
        manifest: Version of this form.
        drift: By network, for those that have a reference.
        references: What rows were compared with, so that joined tables can be compared too; late, for its length.
        merged_from: Of a joined table, the shards.
    """

    manifest: int
    tool: ToolRecord
    models: tuple[ModelRecord, ...]
    gate: GateRecord | None
    request: RequestRecord
    results: ResultsRecord
    counts: CountsRecord
    drift: Mapping[str, DriftRecord]
    aside: AsideRecord
    listing: ListingRecord
    fingerprint: Fingerprint
    times: TimesRecord
    references: Mapping[str, Reference]
    merged_from: tuple[ShardRecord, ...] | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True, slots=True)
class RunResult:
    """A table and what its manifest says of it.

    Attributes:
        path: The table.
        manifest: The content of its manifest.
    """

    path: Path
    manifest: RunManifest

    @property
    def schema(self) -> Schema:
        """The schema that its networks, its gate and DICOM attributes give."""
        manifest, prints = self.manifest, self.manifest.fingerprint
        return schema_of(
            manifest.models, prints.attributes, manifest.references, manifest.gate, any_dicom=prints.any_dicom
        )

    @property
    def format(self) -> Format:
        """How it was written."""
        return self.manifest.results.format

    @property
    def dialect(self) -> Dialect:
        """That of CSV."""
        return self.manifest.results.dialect or Dialect.PLAIN

    @property
    def computed_on(self) -> set[str]:
        """Classes of the processors that its rows were computed on, see `cxr.core.process.instructions`."""
        return set(self.manifest.tool.instructions)

    def rows(self) -> Iterator[dict[str, str]]:
        """Give its rows. Raises DataError where they cannot be read."""
        return read_table(self.path, self.format, self.schema.columns)


def read_run_result(path: Path) -> RunResult:
    """Read the manifest beside the table at `path`.

    Raises:
        DataError: The table or its manifest is absent, or the manifest is not one of this version.
    """
    if not path.is_file() and not is_partitioned(path):
        raise DataError(f"{path} does not exist; expected a table written by cxr-batch")
    sidecar = OutputFiles(real(path)).manifest
    try:
        form = read_json(sidecar)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{sidecar} cannot be read ({reason_of(error)}); cxr-batch writes one beside every table: give a table of "
            "cxr-batch, and copy, move or rename both together"
        ) from error
    known = isinstance(form, dict) and form.get("manifest") == MANIFEST_VERSION
    if not known or not all(isinstance(form.get(name), dict) for name in ("tool", "results")):
        raise DataError(f"{sidecar} is not a manifest of version {MANIFEST_VERSION}; it was not written by cxr-batch")
    if form["results"].get("schema") != SCHEMA_VERSION:  # before the rest, which an older version has not
        raise DataError(
            f"{path} is a table of version {form['results'].get('schema')}, this cxr-batch reads {SCHEMA_VERSION}; "
            f"use cxr-batch {form['tool'].get('version')}, which wrote it"
        )
    if missing := [name for name in (one.name for one in fields(RunManifest)[:-1]) if name not in form]:
        raise DataError(f"{sidecar} lacks {', '.join(missing)}; cxr-batch did not write it so")
    try:
        return RunResult(path, from_json(RunManifest, form))
    except ValueError as error:
        raise DataError(f"{sidecar}: {error}; cxr-batch did not write it so") from error


@dataclass(frozen=True, slots=True)
class RevisionName:
    """A revision of a repository: what it was called, and its commit."""

    rev: str
    commit: str


@dataclass(frozen=True, slots=True)
class RevisionDiff:
    """What a revision has of another one.

    Attributes:
        since: The earlier revision.
        unchanged: Cells of files with equal marks in both.
        new: Number of files that the earlier one has not.
        changed: Number of files with another mark.
        deleted: Cells of files that only the earlier one has.
    """

    since: RevisionName
    unchanged: frozenset[str]
    new: int
    changed: int
    deleted: tuple[str, ...]

    @property
    def record(self) -> "DiffRecord":
        """For the manifest."""
        counts = (self.new, self.changed, len(self.unchanged))
        return DiffRecord(self.since.rev, self.since.commit, *counts, self.deleted)


def diff_revisions(before: Sequence[Candidate], after: Sequence[Candidate], since: RevisionName) -> RevisionDiff:
    """Compare two listings by the checksums in their marks; a file without one counts as changed."""
    earlier = {one.cell: one.mark.partition(" ")[2] for one in before}
    unchanged, new = set(), 0
    for one in after:
        told = earlier.pop(one.cell, None)
        if told is None:
            new += 1
        elif told and told == one.mark.partition(" ")[2]:
            unchanged.add(one.cell)
    changed = len(after) - new - len(unchanged)
    return RevisionDiff(since, frozenset(unchanged), new, changed, tuple(sorted(earlier)))


EXAMPLES = 5


@dataclass(slots=True)
class Tally:
    """Counts over the rows of a table, and of the files without a row.

    Attributes:
        schema: Of the rows.
        statuses: Rows by status.
        reasons: Rows without an answer by reason.
        predictions: For each network, rows by prediction.
        confidence: For each network, the sum of the confidence by prediction.
        decisions: For each network, rows by decision; empty where nothing is decided.
        refer_reasons: For each network, rows by the reason to refer.
        in_training_set: For each network, rows by whether it was trained on the picture, `yes` or `no`.
        drift: For each network, what is compared with its validation images; None without a reference.
        flags: Rows by flag.
        agreement: Rows by agreement; empty with one network.
        examples: The first rows without an answer, but for formats that are not read: path, reason, detail.
        not_images: Cells of files that have no row because neither name nor content is an image's.
        unread: Rows by the format that is not read.
        contents: Of each row of a file with bytes, the first 64 bits of its SHA-256.
    """

    schema: Schema
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    predictions: list[Counter[str]] = field(default_factory=list)
    confidence: list[Counter[str]] = field(default_factory=list)
    decisions: list[Counter[str]] = field(default_factory=list)
    refer_reasons: list[Counter[str]] = field(default_factory=list)
    in_training_set: list[Counter[str]] = field(default_factory=list)
    drift: list[DriftCounts | None] = field(default_factory=list)
    flags: Counter[str] = field(default_factory=Counter)
    agreement: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[str, str, str]] = field(default_factory=list)
    not_images: list[str] = field(default_factory=list)
    unread: Counter[Unread] = field(default_factory=Counter)
    contents: "array[int]" = field(default_factory=lambda: array("Q"))
    _names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self._names = [column.name for column in self.schema.columns]
        for counters in (self.predictions, self.confidence, self.decisions, self.refer_reasons, self.in_training_set):
            counters.extend(Counter() for _ in self.schema.heads)
        references = [head.reference for head in self.schema.heads]
        self.drift = [DriftCounts(reference) if reference else None for reference in references]

    def count(self, cells: Sequence[str]) -> None:
        """Count one row."""
        row = dict(zip(self._names, cells, strict=True))
        self.statuses[row["status"]] += 1
        self.flags.update(row["flags"].split())
        if row["sha256"] and row["reason"] != Reason.EMPTY:
            self.contents.append(int(row["sha256"][:16], 16))
        for number, head in enumerate(self.schema.heads):
            self._count_answer(number, head, row)
        if row.get("agreement"):
            self.agreement[row["agreement"]] += 1
        if row["reason"]:
            self.reasons[row["reason"]] += 1
            if unread := unread_by_detail(row["detail"]):
                self.unread[unread] += 1
            elif len(self.examples) < EXAMPLES:
                self.examples.append((row["path"], row["reason"], row["detail"]))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.statuses.total()

    @property
    def formats_not_read(self) -> list[tuple[Unread, int]]:
        """Files by the format that is not read, with a row and without, in the order of its name."""
        return sorted((self.unread + Counter(filter(None, map(unread_by_name, self.not_images)))).items())

    def nothing_read(self, selection: Selection, request: "RunRequest") -> bool:
        """Whether no file could be read as an image, damaged ones among them, where one should be.

        A shard may have none, and a revision none that is new.
        """
        some_expected = request.shard is None and not selection.unchanged
        return some_expected and self.rows == self.reasons[Reason.NOT_AN_IMAGE]

    @property
    def copies(self) -> tuple[int, int]:
        """How many files have the bytes of another one before them, and how many such others there are."""
        _, times = np.unique(np.frombuffer(self.contents, np.uint64), return_counts=True)
        return int((times - 1).sum()), int((times > 1).sum())

    @property
    def ok(self) -> int:
        """Rows with an answer."""
        return self.statuses[Status.OK]

    def _count_answer(self, number: int, head: ModelColumns, row: Mapping[str, str]) -> None:
        prediction = row[f"{head.prefix}prediction"]
        for column, counter in (
            ("decision", self.decisions[number]),
            ("refer_reason", self.refer_reasons[number]),
            ("in_training_set", self.in_training_set[number]),
        ):
            if word := row[f"{head.prefix}{column}"]:
                counter[word] += 1
        drift = self.drift[number]
        if drift and prediction:
            drift.count(head.prefix, row)
        if prediction:
            self.predictions[number][prediction] += 1
            self.confidence[number][prediction] += float(row[f"{head.prefix}confidence"])  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asked for, as far as the manifest tells.

    Attributes:
        changes: Since the revision that was named; None: every file is taken.
        earlier: The table of that revision, whose rows of unchanged files are kept; None without.
        model_sources: For each network, the revision that it was taken from; None for a local folder.
    """

    arguments: Sequence[str]
    query: Query
    naming: Naming
    shard: Shard | None
    limit: int | None
    changes: RevisionDiff | None = None
    earlier: RunResult | None = None
    model_sources: Sequence[Provenance | None] = ()

    @property
    def record(self) -> RequestRecord:
        """What the manifest keeps; where names are hashed, nothing that names a file or folder."""
        private = self.naming.style is PathStyle.HASHED
        root = self.naming.root
        revisions = store_of(root).revisions() if isinstance(root, Path) or not private else Revisions()
        return RequestRecord(
            arguments=None if private else tuple(printable(cleaned(argument)) for argument in self.arguments),
            root=None if private else escape(str(root)),
            paths=self.naming.style.value,
            recursive=self.query.recursive,
            include=None if private else tuple(map(printable, self.query.include)),
            exclude=None if private else tuple(map(printable, self.query.exclude)),
            shard=str(self.shard) if self.shard else None,
            limit=self.limit,
            git=revisions.git,
            dvc=revisions.dvc,
            changed_since=self.changes.record if self.changes else None,
            earlier=_earlier_record(self.earlier.manifest.results) if self.earlier else None,
        )


def _earlier_record(results: ResultsRecord) -> EarlierRecord:
    return EarlierRecord(results.file, results.rows, results.sha256)


def tool_record(computed_on: Collection[str]) -> ToolRecord:
    """Return what makes a table here; `computed_on` are classes of processors."""
    return ToolRecord(
        name="cxr-batch",
        version=__version__,
        git=git_revision(Path(__file__).parent),
        python=platform.python_version(),
        libraries={name: metadata.version(name) for name in LIBRARIES},
        instructions=tuple(sorted(computed_on)),
    )


def results_record(
    path: Path, name: str, wanted: Format, tally: Tally, dialect: Dialect = Dialect.PLAIN
) -> ResultsRecord:
    """Describe the table at `path`, which will be called `name`."""
    return ResultsRecord(
        file=printable(name),
        format=wanted,
        schema=SCHEMA_VERSION,
        columns=tuple(column.name for column in tally.schema.columns),
        rows=tally.rows,
        bytes=bytes_of(path),
        sha256=digest_of(path),
        partitions=len(partitions_of(path)) if path.is_dir() else None,
        dialect=dialect if wanted is Format.CSV and dialect is not Dialect.PLAIN else None,
    )


def counts_record(skipped: SkippedRecord, tally: Tally) -> CountsRecord:
    """Return counts of files."""
    heads = tally.schema.heads
    return CountsRecord(
        discovered=tally.rows + skipped.total,
        **{status.value: tally.statuses[status] for status in Status},
        skipped=skipped.total,
        skipped_because=skipped,
        reasons=dict(sorted(tally.reasons.items())),
        flags=dict(sorted(tally.flags.items())),
        predictions={
            head.identity: {name: counts[name] for name in head.classes}
            for head, counts in zip(heads, tally.predictions, strict=True)
        },
        decisions={
            head.identity: {
                **{word: tally.decisions[number][word] for word in head.applied.words},
                "refer_reasons": {reason.value: tally.refer_reasons[number][reason] for reason in ReferReason},
                "in_training_set": tally.in_training_set[number]["yes"],
            }
            for number, head in enumerate(heads)
            if head.applied
        },
        agreement=dict(sorted(tally.agreement.items())) if len(heads) > 1 else None,
    )


def drift_records(tally: Tally) -> dict[str, DriftRecord]:
    """Compare the answers of each network that has a reference with it."""
    heads = zip(tally.schema.heads, tally.drift, strict=True)
    return {head.identity: drift.record for head, drift in heads if drift}


def skipped_record(found: Found, selection: Selection, tally: Tally) -> SkippedRecord:
    """Return how many files have no row, by the reason."""
    return SkippedRecord(
        not_an_image=len(tally.not_images),
        special=len(found.special),
        hidden=found.hidden,
        excluded=found.excluded,
        other_shards=selection.other_shards,
        beyond_limit=selection.beyond_limit,
        unchanged=selection.unchanged or None,
    )


def aside_record(found: Found, tally: Tally) -> AsideRecord:
    """Name what nobody asked to leave aside."""
    folders = Counter(why for _, why in found.folders)
    return AsideRecord(
        not_an_image=tuple(tally.not_images),
        special=tuple(found.special),
        folders_not_searched=dict(sorted(folders.items())),
        folders=tuple(FolderRecord(cell, why) for cell, why in found.folders),
        formats_not_read=formats_record(tally),
    )


def formats_record(tally: Tally) -> dict[str, int] | None:
    """Count files by the format that is not read; None where there are none."""
    return {unread.name: count for unread, count in tally.formats_not_read} or None
