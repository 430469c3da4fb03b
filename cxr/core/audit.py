"""The record of one audit: what was asked, what was found, and whether the pipeline may go on."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from cxr.core.errors import AuditError, ParamsError
from cxr.core.files import JsonObject

ORDER = ("fail", "warn", "pass", "not_measurable", "not_applicable")


class Result(StrEnum):
    """What an audit says: the closed vocabulary of the key `result`."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    NOT_MEASURABLE = "not_measurable"
    NOT_APPLICABLE = "not_applicable"


def audit(
    id: str,
    name: str,
    result: Result,
    found: str,
    limit: str,
    *,
    fixable: bool,
    values: JsonObject,
    model: str | None = None,
) -> JsonObject:
    """Return an audit's record, in the fixed order of its keys.

    Args:
        id: In snake case; what a waiver names.
        name: For people.
        result: What it says.
        found: One sentence with the figures.
        limit: One sentence: what would be a warning or a failure.
        fixable: Whether a failure can be put right; only such a failure stops the pipeline.
        values: The figures, six decimals, no NaN.
        model: The network it is about; None for an audit of the data.
    """
    return {
        "id": id,
        "name": name,
        "result": result.value,
        "found": found,
        "limit": limit,
        "fixable": fixable,
        "waiver": None,
        "model": model,
        "values": values,
    }


def waive(audits: Sequence[JsonObject], waivers: Mapping[str, str]) -> list[JsonObject]:
    """Return the records with the waiver's text in `waiver` of each failure that can be put right.

    A waiver of an audit that did not fail waits there and changes nothing.

    Raises:
        ParamsError: A waiver names no audit of these, or says nothing.
    """
    known = {record["id"] for record in audits}
    unknown = sorted(set(waivers) - known)
    if unknown:
        raise ParamsError(
            f"params.yaml: waivers for {', '.join(unknown)}, which this stage does not audit; "
            f"it audits {', '.join(sorted(known))}"
        )
    silent = sorted(name for name, why in waivers.items() if not why.strip())
    if silent:
        raise ParamsError(f"params.yaml: the waivers of {', '.join(silent)} give no reason; write why it is accepted")
    return [record | {"waiver": waivers.get(record["id"]) if _stops(record) else None} for record in audits]


def stop_unless_waived(audits: Sequence[JsonObject], stage: str = "<stage>") -> None:
    """Stop where a failure that can be put right has no waiver; write the report before.

    Args:
        audits: As `waive` returns them.
        stage: The section of params.yaml that the message names for records without a `stage` of their own.

    Raises:
        AuditError: Naming each failure, what was found, and how to waive it.
    """
    failures = [record for record in audits if _stops(record) and not record["waiver"]]
    if failures:
        named = " ".join(f"{_titled(record)}: {record['found']}" for record in failures)
        waivers = ", ".join(
            dict.fromkeys(f"{record.get('stage', stage)}.waivers.{record['id']}: why" for record in failures)
        )
        raise AuditError(
            f"The audit failed. {named} Put it right and run again; or, to go on all the same, "
            f"write the reason into params.yaml: {waivers}"
        )


def _stops(record: JsonObject) -> bool:
    return record["result"] == Result.FAIL and bool(record["fixable"])


def _titled(record: JsonObject) -> str:
    return f"{record['name']} of {record['model']}" if record["model"] else str(record["name"])
