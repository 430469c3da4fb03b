"""The record of one audit: what was asked, what was found, and whether the pipeline may go on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from cxr.core.errors import AuditError, ParamsError
from cxr.core.records import as_json


class Result(StrEnum):
    """What an audit says: the closed vocabulary of the key `result`."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    NOT_MEASURABLE = "not_measurable"
    NOT_APPLICABLE = "not_applicable"


ORDER = (Result.FAIL, Result.WARN, Result.PASS, Result.NOT_MEASURABLE, Result.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """What one audit found.

    Attributes:
        stage: The section of params.yaml that waives it; None in the stage's own report.
        id: In snake case; what a waiver names.
        name: For people.
        result: What it says.
        found: One sentence with the figures.
        limit: One sentence: what would be a warning or a failure.
        fixable: Whether a failure can be put right; only such a failure stops the pipeline.
        waiver: Why a failure may stand; None where nothing is waived.
        model: The network it is about; None for an audit of the data.
        values: The figures as JSON, six decimals, no NaN.
    """

    stage: str | None = field(default=None, metadata={"absent": True})
    id: str
    name: str
    result: Result
    found: str
    limit: str
    fixable: bool
    waiver: str | None = None
    model: str | None = None
    values: Mapping[str, object]

    @property
    def stops(self) -> bool:
        """Whether it is a failure that can be put right; a waiver lets it pass."""
        return self.result is Result.FAIL and self.fixable

    @property
    def title(self) -> str:
        """The name, with that of the network."""
        return f"{self.name} of {self.model}" if self.model else self.name


@dataclass(frozen=True, slots=True)
class Audit:
    """A question that is asked of data or networks, whatever the answer; see `AuditRecord`."""

    id: str
    name: str
    fixable: bool

    def record(self, result: Result, found: str, limit: str, values: object, model: str | None = None) -> AuditRecord:
        """Return what was found; `values` is a record or a mapping."""
        return AuditRecord(
            id=self.id,
            name=self.name,
            result=result,
            found=found,
            limit=limit,
            fixable=self.fixable,
            model=model,
            values=as_json(values),
        )


def waive(audits: Sequence[AuditRecord], waivers: Mapping[str, str]) -> list[AuditRecord]:
    """Return the records with the waiver's text in `waiver` of each failure that can be put right.

    A waiver of an audit that did not fail waits there and changes nothing.

    Raises:
        ParamsError: A waiver names no audit of these, or says nothing.
    """
    known = {record.id for record in audits}
    unknown = sorted(set(waivers) - known)
    if unknown:
        raise ParamsError(
            f"params.yaml: waivers for {', '.join(unknown)}, which this stage does not audit; "
            f"it audits {', '.join(sorted(known))}"
        )
    silent = sorted(name for name, why in waivers.items() if not why.strip())
    if silent:
        raise ParamsError(f"params.yaml: the waivers of {', '.join(silent)} give no reason; write why it is accepted")
    return [replace(record, waiver=waivers.get(record.id) if record.stops else None) for record in audits]


def stop_unless_waived(audits: Sequence[AuditRecord], stage: str = "<stage>") -> None:
    """Stop where a failure that can be put right has no waiver; write the report before.

    Args:
        audits: As `waive` returns them.
        stage: The section of params.yaml that the message names for records without a `stage` of their own.

    Raises:
        AuditError: Naming each failure, what was found, and how to waive it.
    """
    failures = [record for record in audits if record.stops and not record.waiver]
    if failures:
        found = " ".join(f"{record.title}: {record.found}" for record in failures)
        waivers = ", ".join(dict.fromkeys(f"{record.stage or stage}.waivers.{record.id}: why" for record in failures))
        raise AuditError(
            f"The audit failed. {found} Put it right and run again; or, to go on all the same, "
            f"write the reason into params.yaml: {waivers}"
        )
