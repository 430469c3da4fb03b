"""The sidecar of a table: what it was made from, by what, and counts that add up."""

import platform
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from cxr import __version__
from cxr.decisions import ReferReason
from cxr.files import JsonObject
from cxr.screening.address import cleaned
from cxr.screening.changes import Changes
from cxr.screening.escape import escape, printable
from cxr.screening.local import store_of
from cxr.screening.names import Naming, PathStyle
from cxr.screening.partitions import bytes_of, digest_of, partitions_of
from cxr.screening.provenance import git_revision
from cxr.screening.query import Found, Query
from cxr.screening.rows import Status
from cxr.screening.schema import SCHEMA_VERSION
from cxr.screening.select import Selection, Shard
from cxr.screening.tables import Format
from cxr.screening.tally import Tally

if TYPE_CHECKING:
    from cxr.screening.described import Described

MANIFEST_VERSION = 1
LIBRARIES = ("filelock", "isal", "numpy", "openvino", "pillow", "pydicom", "rich", "typer")


@dataclass(frozen=True, slots=True)
class Asked:
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
    changes: Changes | None = None
    earlier: "Described | None" = None
    model_sources: Sequence[JsonObject | None] = ()


def tool_facts(computed_on: Collection[str]) -> JsonObject:
    """Return versions of the tool, of Python and of the libraries, and the tool's commit in a checkout.

    Args:
        computed_on: Classes of the processors that the rows were computed on, see `cxr.processor.instructions`.
    """
    return {
        "name": "cxr-batch",
        "version": __version__,
        "git": git_revision(Path(__file__).parent),
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "instructions": sorted(computed_on),
    }


def request_facts(asked: Asked) -> JsonObject:
    """Return arguments and selection; where names are hashed, nothing that names a file or folder."""
    private = asked.naming.style is PathStyle.HASHED
    root = asked.naming.root
    return {
        "arguments": None if private else [printable(cleaned(argument)) for argument in asked.arguments],
        "root": None if private else escape(str(root)),
        "paths": asked.naming.style.value,
        "recursive": asked.query.recursive,
        "include": None if private else list(map(printable, asked.query.include)),
        "exclude": None if private else list(map(printable, asked.query.exclude)),
        "shard": str(asked.shard) if asked.shard else None,
        "limit": asked.limit,
        **(store_of(root).facts() if isinstance(root, Path) or not private else {"git": None, "dvc": None}),
        **({"changed_since": asked.changes.facts()} if asked.changes else {}),
        **({"earlier": _earlier_facts(asked.earlier)} if asked.earlier else {}),
    }


def _earlier_facts(earlier: "Described") -> JsonObject:
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
