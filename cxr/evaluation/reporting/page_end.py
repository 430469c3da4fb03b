"""How to get the same numbers again, what the standards ask for, and what is known to be wrong."""

from cxr.evaluation.reporting.blocks import Block, Cell, Fold, Paragraph, Points, Section, Table
from cxr.evaluation.reporting.cells import badge, count, not_measured, raw, table, text
from cxr.evaluation.reporting.page_audits import flattened
from cxr.evaluation.reporting.pieces import Piece
from cxr.evaluation.reporting.slugs import slug
from cxr.files import JsonObject


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
