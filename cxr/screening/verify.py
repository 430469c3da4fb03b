"""Is a table what its manifest says, and does it keep its own rules?"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.decisions import DECISIONS_FILE, Decisions
from cxr.errors import ModelError
from cxr.files import JsonObject, sha256_of
from cxr.screening.applied import applied_at, members_of
from cxr.screening.described import Described
from cxr.screening.gated import gate_facts_of
from cxr.screening.partitions import bytes_of, digest_of
from cxr.screening.row_rules import broken_rules
from cxr.screening.run_manifest import count_facts, drift_facts
from cxr.screening.tally import Tally

SHOWN = 20  # findings of one kind; a table of another schema would give one a row


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; it holds when there is nothing to say about it."""

    name: str
    findings: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing differs."""
        return not self.findings


def verify_table(table: Described) -> list[Check]:
    """Check bytes, header, every row, order and counts of a table against its manifest and the contract.

    Raises:
        DataError: The table cannot be read at all.
    """
    results = table.manifest["results"]
    tally = Tally(table.schema)
    names = [column.name for column in table.schema.columns]
    header = next((list(row) for row in table.rows()), names)
    if header != names or results["columns"] != names:
        differing = sorted({*header, *results["columns"]} ^ {*names}) or ["their order"]
        return [Check("columns", (f"not those of version {results['schema']}: {', '.join(differing)}",))]
    rows = Check("rows", tuple(_first(_rows(table, tally))))
    return [
        Check("bytes", tuple(_differences({"sha256": digest_of(table.path), "bytes": bytes_of(table.path)}, results))),
        Check("columns"),
        rows,
        Check("counts", tuple(_counts(table, tally))),
    ]


def verify_models(table: Described, folders: Sequence[Path]) -> Check:
    """Check that the networks in `folders` are those that the manifest names, to the byte."""
    from cxr.model_folder import DESCRIPTION_FILE, describe_model, fingerprint
    from cxr.model_parts import load_decisions

    available: dict[str, tuple[Path, JsonObject, Decisions | None]] = {}
    findings = []
    for folder in folders:
        try:
            description = describe_model(folder)
            available[fingerprint(folder)] = (folder, description, load_decisions(folder, description))
        except ModelError as error:
            findings.append(str(error))
    for number, model in enumerate(table.manifest["models"]):
        found = available.get(model["sha256"])
        if found is None:
            findings.append(
                f"{model['model']} is in none of {', '.join(map(str, folders))}; name its folder with --model"
            )
            continue
        folder, description, decisions = found
        if sha256_of(folder / DESCRIPTION_FILE) != model["description_sha256"]:
            findings.append(f"{folder} has the network of {model['model']}, but another description")
        elif not _same_decisions(decisions, model, sha256_of(folder / DECISIONS_FILE) if decisions else ""):
            findings.append(f"{folder} decides otherwise than the manifest says of {model['model']}")
        elif list(members_of(description)) != model["members"]:
            findings.append(f"{folder} has other members than the manifest says of {model['model']}")
        elif number == 0 and not _same_gate(folder, description, table.manifest["gate"]):
            findings.append(f"{folder} has another gate than the manifest says")
    return Check("models", tuple(findings))


def _same_gate(folder: Path, description: JsonObject, stated: JsonObject | None) -> bool:
    """Tell whether the manifest's limits are those of the gate's file, so that rows were checked against the right."""
    try:
        return gate_facts_of(folder, description) == stated
    except (ModelError, OSError, ValueError):
        return False


def _same_decisions(decisions: Decisions | None, model: dict[str, Any], sha256: str) -> bool:
    """Tell whether the manifest's figures are those of the file, so that rows were checked against the right ones."""
    stated = model["decisions"]
    if decisions is None or stated is None:
        return decisions is stated
    applied = applied_at(decisions, str(stated.get("operating_point")))
    return applied is not None and applied.facts(decisions.classes) | {"sha256": sha256} == stated


def _rows(table: Described, tally: Tally) -> Iterator[str]:
    last = ""
    for number, row in enumerate(table.rows(), start=1):
        if row["path"] <= last:
            yield f"row {number}, {row['path']}: not after {last}; rows are sorted by path, each path once"
        last = row["path"]
        for clause in broken_rules(row, tally.schema):
            yield f"row {number}, {row['path']}: {clause}"
        with suppress(ValueError, KeyError):  # no number or class where one belongs, which the rules have named
            tally.count(list(row.values()))


def _counts(table: Described, tally: Tally) -> Iterator[str]:
    stated = table.manifest["counts"]
    tally.not_images.extend(table.manifest["aside"]["not_an_image"])
    skipped = stated["skipped_because"] | {"not_an_image": len(tally.not_images)}
    yield from _differences({"rows": tally.rows}, table.manifest["results"])
    yield from _differences(count_facts(skipped, tally), stated)
    yield from (f"drift of {clause}" for clause in _differences(drift_facts(tally), table.manifest["drift"]))


def _differences(found: dict[str, Any], stated: dict[str, Any]) -> Iterator[str]:
    for name, value in found.items():
        if stated.get(name) != value:
            yield f"{name} is {value}, the manifest says {stated.get(name)}"


def _first(findings: Iterator[str]) -> Iterator[str]:
    more = 0
    for number, finding in enumerate(findings):
        if number < SHOWN:
            yield finding
        else:
            more += 1
    if more:
        yield f"... and {more:,} more"
