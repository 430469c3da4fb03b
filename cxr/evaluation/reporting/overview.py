"""Sections on the whole: data, audits, verdict, reproducibility, standards and limitations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cxr.core.audit import ORDER
from cxr.core.files import JsonObject
from cxr.evaluation.reporting.charts import split_chart
from cxr.evaluation.reporting.document import (
    AuditEntry,
    Audits,
    Block,
    Cell,
    Fold,
    Paragraph,
    Piece,
    Points,
    Printed,
    Row,
    Section,
    Table,
    badge,
    count,
    not_measured,
    percent,
    raw,
    slug,
    table,
    text,
)


def data_section(report: JsonObject) -> Section:
    """Flow of the images, classes by split, classes by source."""
    data = report["data"]
    blocks: list[Block] = [_flow(report.get("flow") or [], list(data["classes"]))] if report.get("flow") else []
    if not blocks:
        blocks.append(not_measured("Flow of the images"))
    blocks += [_splits(data), split_chart(data)]
    blocks.append(_sources(data) if data.get("sources") else not_measured("Classes by source", "no source is known"))
    return Section("data", "Where the images come from", blocks)


def labels_of(steps: Sequence[JsonObject], classes: Sequence[str]) -> list[str]:
    """Return the classes in their order, then other labels that a step counts."""
    others = {label for step in steps for label in step["images"]} - set(classes)
    return [*classes, *sorted(others)]


def _flow(steps: Sequence[JsonObject], classes: Sequence[str]) -> Table:
    labels = labels_of(steps, classes)
    rows = [
        [
            text(step["step"]),
            *(count(step["images"].get(label)) if label in step["images"] else Cell(("",)) for label in labels),
            _or_blank(step.get("total")),
            count(step.get("dropped")),
            Cell((str(step.get("why") or ""),)),
        ]
        for step in steps
    ]
    return table("Every step, and why images were dropped", ["step", *labels, "all", "dropped", "why"], rows)


def _or_blank(value: int | None) -> Cell:
    return Cell(("",)) if value is None else count(value)


def _splits(data: JsonObject) -> Table:
    classes, shares = list(data["classes"]), data.get("shares") or {}
    totals = data.get("images_per_split") or {}
    rows: list[Row | list[Cell]] = [
        [text(split), *(count(counts.get(label)) for label in classes), _or_blank(totals.get(split))]
        for split, counts in data["classes_by_split"].items()
    ]
    rows.append([text("all"), *(count(number) for number in data["classes"].values()), count(data["images"])])
    if shares:
        rows.append([text("share"), *(percent(shares.get(label)) for label in classes), Cell(("",))])
    return table("Images by split and class", ["split", *classes, "all"], rows)


def _sources(data: JsonObject) -> Table:
    classes, cells = list(data["classes"]), {}
    for entry in data["sources"]:
        cells[entry["source"], entry["label"]] = entry["images"]
    rows = [
        [text(source or "unknown"), *(count(cells.get((source, label), 0)) for label in classes)]
        for source in sorted({source for source, _ in cells}, key=str)
    ]
    caption = "Images by source collection and class: where a row has one class only, the source gives the class away"
    return table(caption, ["source", *classes], rows)


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


LEVELS = {"stop": "an audit failed", "warn": "read with care", "fine": "no audit warns"}
NO_VERDICT = "These figures have no verdict: what they can show was not judged."


@dataclass(frozen=True, slots=True)
class PageHead:
    """What stands above everything else."""

    headline: str
    badge: Cell
    sentences: tuple[str, ...]
    banner: tuple[tuple[Piece, ...], ...]
    waivers: tuple[tuple[str, str], ...]
    images: tuple[Piece, ...]


def page_head(report: JsonObject) -> PageHead:
    """Return headline, sentences, permanent banner and waivers."""
    verdict, data = report.get("verdict") or {}, report.get("data") or {}
    level = str(verdict.get("level") or "warn")
    banner: list[tuple[Piece, ...]] = [(str(one),) for one in report.get("banner") or []]
    if data.get("synthetic_images"):
        banner.insert(0, _phantoms(data))
    return PageHead(
        str(verdict.get("headline") or NO_VERDICT),
        badge(f"level-{level}", LEVELS.get(level, level)),
        tuple(map(str, verdict.get("sentences") or [])),
        tuple(banner),
        tuple((f"{one['stage']}: {one['audit']}", str(one["why"])) for one in report.get("waivers") or []),
        (_count(data["images"]), " images, data set ", str(data["sha256"])[:12]) if data.get("sha256") else (),
    )


def _phantoms(data: JsonObject) -> tuple[Piece, ...]:
    return (
        "Drawn phantoms: ",
        _count(data["synthetic_images"]),
        " of ",
        _count(data["images"]),
        " images are drawn by this software. The figures show that the pipeline runs; they mean nothing for patients.",
    )


def _count(number: int) -> Printed:
    return Printed(number, f"{number:,}")


def reproducibility_section(report: JsonObject) -> Section:
    """Commit, data, networks, versions, params."""
    found = report.get("reproducibility") or {}
    commit = found.get("commit") or "not in a commit; the params and the data below still name the run"
    rows = [[text("commit"), text(commit)], [text("data, digest"), text(found.get("data_sha256"))]]
    rows += [[text(f"network {name}, digest"), text(digest)] for name, digest in (found.get("networks") or {}).items()]
    blocks: list[Block] = [table("What was run on what", ["name", "value"], rows)]
    versions = [[text(name), text(version)] for name, version in (found.get("versions") or {}).items()]
    blocks.append(table("Versions", ["software", "version"], versions) if versions else not_measured("Versions"))
    params = [[Cell((name,)), raw(value)] for name, value in flattened(found.get("params") or {})]
    if params:
        blocks.append(Fold("params", ("Parameters",), (table("params.yaml", ["name", "value"], params),)))
    return Section("reproducibility", "Reproducibility", blocks)


def standards_section(report: JsonObject, whole: bool = True) -> Section:
    """The reporting standards item by item; only how many, if not `whole`."""
    standards = report.get("standards") or []
    blocks: list[Block] = [
        Paragraph(
            (
                "Titles are in our own words; the published checklists count. This is a map for readers and no score: "
                "much is missing because a public collection does not have it.",
            )
        )
    ]
    if not standards:
        blocks.append(not_measured("Standards"))
    for standard in standards:
        if whole:
            blocks.append(Fold(slug(standard["standard"]), _counted(standard), (_items(standard),)))
        else:
            blocks.append(Paragraph(_counted(standard)))
    return Section("standards", "Reporting standards", blocks)


def _counted(standard: JsonObject) -> tuple[Piece, ...]:
    pieces: list[Piece] = [f"{standard['standard']}: "]
    counts = standard.get("counts") or {}
    for status, number in counts.items():
        pieces += [*count(number).pieces, f" {status}", ", "]
    return tuple(pieces[:-1]) if counts else (str(standard["standard"]),)


def _items(standard: JsonObject) -> Table:
    rows = [
        [text(item["item"]), text(item["title"]), badge(slug(item["status"]), item["status"]), text(item["where"])]
        for item in standard["items"]
    ]
    return table(standard["standard"], ["item", "asks for", "status", "where, or why not"], rows)


def limitations_section(report: JsonObject) -> Section:
    """What is known to be wrong or absent."""
    found = report.get("limitations") or []
    body: Block = Points(tuple((str(one),) for one in found)) if found else not_measured("Limitations")
    return Section("limitations", "Known limitations", [body])
