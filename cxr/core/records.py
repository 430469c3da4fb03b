"""Records as JSON and back: dataclasses inside, objects with keys at the edge; and the record of an audit."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from enum import Enum, StrEnum
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from cxr.core.errors import AuditError, ParamsError

T = TypeVar("T")


def as_json(value: object) -> Any:
    """Return what `json.dumps` takes: a dataclass as an object with its fields as keys, in their order.

    A field's metadata may name another `key`, and say with `absent` that None has no key rather than null. Numbers are
    left as they are: whoever makes a record rounds them.
    """
    if is_dataclass(value) and not isinstance(value, type):
        found = ((one.metadata, one.name, getattr(value, one.name)) for one in fields(value))
        return {
            how.get("key") or name: as_json(part)
            for how, name, part in found
            if not (part is None and how.get("absent"))
        }
    if isinstance(value, Mapping):
        return {key: as_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(part) for part in value]
    return value.value if isinstance(value, Enum) else value


def parts(record: object) -> dict[str, Any]:
    """Return a record's fields by name, to make a larger record of them."""
    return {one.name: getattr(record, one.name) for one in fields(record)}  # type: ignore[arg-type]


def from_json(kind: type[T], value: object) -> T:
    """Return the record that `as_json` made `value` of; keys that the record has no field for are left out.

    Args:
        kind: A dataclass, of dataclasses, tuples, mappings, enumerations and plain values.
        value: As JSON gives it.

    Raises:
        ValueError: A key is absent that has no default, or a value is of another form.
    """
    try:
        found: T = _read(kind, value)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"it is no {kind.__name__}: {error!r}") from error
    return found


def _read(kind: Any, value: Any) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if value is None else _read(next(one for one in inner if one is not type(None)), value)
    if origin is tuple and inner[1:] == (...,):
        return tuple(_read(inner[0], one) for one in value)
    if origin is tuple:
        return tuple(_read(one, part) for one, part in zip(inner, value, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _read(inner[1], part) for key, part in value.items()}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return [_read(inner[0], one) for one in value]
    if is_dataclass(kind):
        return _record(kind, value)
    return kind(value) if isinstance(kind, type) and issubclass(kind, Enum) else value


def _record(kind: Any, value: Mapping[str, Any]) -> Any:
    types = get_type_hints(kind)
    keys = {one.name: one.metadata.get("key") or one.name for one in fields(kind)}
    required = {one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING}
    lacking = [keys[name] for name in required if keys[name] not in value]
    if lacking:
        raise KeyError(*lacking)
    return kind(**{name: _read(types[name], value[key]) for name, key in keys.items() if key in value})


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
