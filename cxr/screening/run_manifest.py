"""The manifest beside a table: what it was made from, by what, and counts that add up; written and read."""

import platform
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from cxr import __version__
from cxr.core.errors import DataError, ModelError
from cxr.core.files import JsonObject, read_json
from cxr.inference.decisions import ReferReason
from cxr.screening.candidates import Candidate, Found, Query
from cxr.screening.discovery import Selection, Shard
from cxr.screening.drift import DriftCounts
from cxr.screening.output import OutputFiles
from cxr.screening.paths import Naming, PathStyle, cleaned, escape, printable
from cxr.screening.schema import (
    SCHEMA_VERSION,
    ModelColumns,
    Schema,
    Status,
    parse_decision_record,
    parse_gate_record,
    schema_of,
)
from cxr.screening.storage import git_revision, store_of
from cxr.screening.tables import Format, bytes_of, digest_of, is_partitioned, partitions_of, read_table

SECTIONS = ("models", "request", "counts", "drift", "aside", "listing", "fingerprint", "times", "references")


@dataclass(frozen=True, slots=True)
class RunResult:
    """A table and what its manifest says of it.

    Attributes:
        path: The table.
        manifest: The content of its manifest.
    """

    path: Path
    manifest: JsonObject

    @property
    def schema(self) -> Schema:
        """The schema that its networks, its gate and DICOM attributes give."""
        named, references = self.manifest["models"], self.manifest["references"]
        models = [(model["name"], model["model"], tuple(model["classes"])) for model in named]
        where = f"the manifest of {self.path}"
        try:
            applied = [parse_decision_record(model, references.get(model["model"]), where) for model in named]
            gate = parse_gate_record(self.manifest["gate"], where)
        except ModelError as error:
            raise DataError(str(error)) from error
        return schema_of(models, self.manifest["fingerprint"]["attributes"], applied, gate)

    @property
    def format(self) -> Format:
        """How it was written."""
        return Format(self.manifest["results"]["format"])

    @property
    def computed_on(self) -> set[str]:
        """Classes of the processors that its rows were computed on, see `cxr.core.processor.instructions`."""
        return set(self.manifest["tool"].get("instructions", ()))

    def rows(self) -> Iterator[dict[str, str]]:
        """Give its rows. Raises DataError where they cannot be read."""
        return read_table(self.path, self.format)


def read_run_result(path: Path) -> RunResult:
    """Read the manifest beside the table at `path`.

    Raises:
        DataError: The table or its manifest is absent, or the manifest is not one of this version.
    """
    if not path.is_file() and not is_partitioned(path):
        raise DataError(f"{path} does not exist; expected a table written by cxr-batch")
    sidecar = OutputFiles(path.resolve()).manifest
    try:
        manifest = read_json(sidecar)
    except (OSError, ValueError) as error:
        raise DataError(f"{sidecar} cannot be read ({error}); it is written beside every table, keep both") from error
    known = isinstance(manifest, dict) and manifest.get("manifest") == MANIFEST_VERSION
    if not known or not all(isinstance(manifest.get(name), dict) for name in ("tool", "results")):
        raise DataError(f"{sidecar} is not a manifest of version {MANIFEST_VERSION}; it was not written by cxr-batch")
    if manifest["results"].get("schema") != SCHEMA_VERSION:  # before the rest, which an older version has not
        raise DataError(
            f"{path} is a table of version {manifest['results'].get('schema')}, this cxr-batch reads {SCHEMA_VERSION}; "
            f"use cxr-batch {manifest['tool'].get('version')}, which wrote it"
        )
    missing = [name for name in SECTIONS if not isinstance(manifest.get(name), dict | list)]
    missing += [] if isinstance(manifest.get("gate", ""), dict | None) else ["gate"]
    if missing:
        raise DataError(f"{sidecar} lacks {', '.join(missing)}; cxr-batch did not write it so")
    return RunResult(path, manifest)


@dataclass(frozen=True, slots=True)
class RevisionDiff:
    """What a revision has of another one.

    Attributes:
        since: The earlier revision, as manifests name it.
        unchanged: Cells of files with equal marks in both.
        new: Number of files that the earlier one has not.
        changed: Number of files with another mark.
        deleted: Cells of files that only the earlier one has.
    """

    since: JsonObject
    unchanged: frozenset[str]
    new: int
    changed: int
    deleted: tuple[str, ...]

    def facts(self) -> JsonObject:
        """For the manifest."""
        counts = {"new": self.new, "changed": self.changed, "unchanged": len(self.unchanged)}
        return {**self.since, **counts, "deleted": list(self.deleted)}


def diff_revisions(before: Sequence[Candidate], after: Sequence[Candidate], since: JsonObject) -> RevisionDiff:
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
        examples: The first rows without an answer: path, reason, detail.
        not_images: Cells of files that have no row because neither name nor content is an image's.
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
    _names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self._names = [column.name for column in self.schema.columns]
        for counters in (self.predictions, self.confidence, self.decisions, self.refer_reasons, self.in_training_set):
            counters.extend(Counter() for _ in self.schema.heads)
        references = [head.applied.reference if head.applied else None for head in self.schema.heads]
        self.drift = [DriftCounts(reference) if reference else None for reference in references]

    def count(self, cells: Sequence[str]) -> None:
        """Count one row."""
        row = dict(zip(self._names, cells, strict=True))
        self.statuses[row["status"]] += 1
        self.flags.update(row["flags"].split())
        for number, head in enumerate(self.schema.heads):
            self._count_answer(number, head, row)
        if row.get("agreement"):
            self.agreement[row["agreement"]] += 1
        if row["reason"]:
            self.reasons[row["reason"]] += 1
            if len(self.examples) < EXAMPLES:
                self.examples.append((row["path"], row["reason"], row["detail"]))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.statuses.total()

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


MANIFEST_VERSION = 1
LIBRARIES = ("filelock", "isal", "numpy", "openvino", "pillow", "pydicom", "rich", "typer")


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
    model_sources: Sequence[JsonObject | None] = ()


def tool_facts(computed_on: Collection[str]) -> JsonObject:
    """Return versions of the tool, of Python and of the libraries, and the tool's commit in a checkout.

    Args:
        computed_on: Classes of the processors that the rows were computed on, see `cxr.core.processor.instructions`.
    """
    return {
        "name": "cxr-batch",
        "version": __version__,
        "git": git_revision(Path(__file__).parent),
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "instructions": sorted(computed_on),
    }


def request_facts(request: RunRequest) -> JsonObject:
    """Return arguments and selection; where names are hashed, nothing that names a file or folder."""
    private = request.naming.style is PathStyle.HASHED
    root = request.naming.root
    return {
        "arguments": None if private else [printable(cleaned(argument)) for argument in request.arguments],
        "root": None if private else escape(str(root)),
        "paths": request.naming.style.value,
        "recursive": request.query.recursive,
        "include": None if private else list(map(printable, request.query.include)),
        "exclude": None if private else list(map(printable, request.query.exclude)),
        "shard": str(request.shard) if request.shard else None,
        "limit": request.limit,
        **(store_of(root).facts() if isinstance(root, Path) or not private else {"git": None, "dvc": None}),
        **({"changed_since": request.changes.facts()} if request.changes else {}),
        **({"earlier": _earlier_facts(request.earlier)} if request.earlier else {}),
    }


def _earlier_facts(earlier: RunResult) -> JsonObject:
    results = earlier.manifest["results"]
    return {"file": results["file"], "rows": results["rows"], "sha256": results["sha256"]}


def results_facts(path: Path, name: str, wanted: Format, tally: Tally) -> JsonObject:
    """Describe the table at `path`, which will be called `name`."""
    return {
        "file": name,
        "format": wanted.value,
        "schema": SCHEMA_VERSION,
        "columns": [column.name for column in tally.schema.columns],
        "rows": tally.rows,
        "bytes": bytes_of(path),
        "sha256": digest_of(path),
        **({"partitions": len(partitions_of(path))} if path.is_dir() else {}),
    }


def count_facts(skipped: Mapping[str, int], tally: Tally) -> JsonObject:
    """Return counts of files: discovered = ok + rejected + error + skipped."""
    return {
        "discovered": tally.rows + sum(skipped.values()),
        **{status.value: tally.statuses[status] for status in Status},
        "skipped": sum(skipped.values()),
        "skipped_because": dict(skipped),
        "reasons": dict(sorted(tally.reasons.items())),
        "flags": dict(sorted(tally.flags.items())),
        "predictions": {
            head.identity: {name: counts[name] for name in head.classes}
            for head, counts in zip(tally.schema.heads, tally.predictions, strict=True)
        },
        "decisions": {
            head.identity: {
                **{word: tally.decisions[number][word] for word in head.applied.words},
                "refer_reasons": {reason.value: tally.refer_reasons[number][reason] for reason in ReferReason},
                "in_training_set": tally.in_training_set[number]["yes"],
            }
            for number, head in enumerate(tally.schema.heads)
            if head.applied
        },
        **({"agreement": dict(sorted(tally.agreement.items()))} if len(tally.schema.heads) > 1 else {}),
    }


def drift_facts(tally: Tally) -> JsonObject:
    """Compare the answers of each network that has a reference with it."""
    heads = zip(tally.schema.heads, tally.drift, strict=True)
    return {head.identity: drift.facts() for head, drift in heads if drift}


def skipped_files(found: Found, selection: Selection, tally: Tally) -> dict[str, int]:
    """Return how many files have no row, by the reason."""
    return {
        "not_an_image": len(tally.not_images),
        "special": len(found.special),
        "hidden": found.hidden,
        "excluded": found.excluded,
        "other_shards": selection.other_shards,
        "beyond_limit": selection.beyond_limit,
        **({"unchanged": selection.unchanged} if selection.unchanged else {}),
    }


def aside_facts(found: Found, tally: Tally) -> JsonObject:
    """Name the files without a row that nobody asked to leave aside, and the folders that were not searched."""
    folders = Counter(why for _, why in found.folders)
    return {
        "not_an_image": tally.not_images,
        "special": found.special,
        "folders_not_searched": dict(sorted(folders.items())),
        "folders": [{"path": cell, "because": why} for cell, why in found.folders],
    }
