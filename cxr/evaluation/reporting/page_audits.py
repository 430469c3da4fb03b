"""What was looked for in data and models before any accuracy is told."""

from collections.abc import Iterator

from cxr.evaluation.reporting.blocks import AuditEntry, Audits, Block, Cell, Paragraph, Section, Table
from cxr.evaluation.reporting.cells import badge, count, not_measured, raw, table, text
from cxr.evaluation.reporting.pieces import Piece
from cxr.files import JsonObject

ORDER = ("fail", "warn", "pass", "not_measurable", "not_applicable")
MOST_VALUES = 40  # of one audit; the rest is in the JSON


def audits_section(report: JsonObject) -> Section:
    """All audits in the order of the stages, with their counts."""
    records = report.get("audits") or []
    if not records:
        return Section("audits", "Audits, before any accuracy", [not_measured("Audits")])
    blocks: list[Block] = [_summary(report), Audits(tuple(_entry(record) for record in records))]
    return Section("audits", "Audits, before any accuracy", blocks)


def _summary(report: JsonObject) -> Paragraph:
    pieces: list[Piece] = []
    counts = report.get("audit_counts") or {}
    for result in [name for name in ORDER if counts.get(name)]:
        pieces += [", " if pieces else "", *count(counts[result]).pieces, f" {result.replace('_', ' ')}"]
    start: tuple[Piece, ...] = (*pieces, ". ") if pieces else ()
    return Paragraph(
        (
            *start,
            "A failure that can be mended stops the pipeline unless a waiver says why not. What cannot be mended on "
            "this database is a permanent sentence at the top of this page.",
        )
    )


def _entry(record: JsonObject) -> AuditEntry:
    waiver = str(record.get("waiver") or "")
    badges = [badge(record["result"])] + ([badge("waived")] if waiver else [])
    where = ", ".join(str(part) for part in (record.get("stage"), record.get("model")) if part)
    return AuditEntry(
        tuple(badges), record["name"], where, record["found"], record["limit"], waiver, _values(record.get("values"))
    )


def _values(values: JsonObject | None) -> Table | None:
    flat = list(flattened(values or {}))
    rows = [[Cell((name,)), raw(value)] for name, value in flat[:MOST_VALUES]]
    if len(flat) > MOST_VALUES:
        rows.append([text("more"), Cell(("in report.json",))])
    return table("Values", ["name", "value"], rows) if rows else None


def flattened(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Yield the leaves of a JSON value with their dotted names; a list counts its items from nought."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from flattened(part, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from flattened(part, f"{name}[{number}]")
    else:
        yield name, value
