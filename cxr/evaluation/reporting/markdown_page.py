"""reports/report.md: the same blocks as the page, without charts and pictures."""

from collections.abc import Callable, Iterator
from typing import Any

from cxr.evaluation.markdown import RESEARCH_ONLY
from cxr.evaluation.reporting.blocks import Audits, Block, Fold, Grid, Heading, Paragraph, Points, Table
from cxr.evaluation.reporting.document import sections
from cxr.evaluation.reporting.page_verdict import head
from cxr.evaluation.reporting.pieces import Fixed, Piece, Printed
from cxr.files import JsonObject


def render_markdown(report: JsonObject) -> str:
    """Return the report as Markdown; the page beside it has charts, pictures and the standards item by item."""
    top = head(report)
    lines = [f"# {plain((str(report.get('title') or 'Evaluation'),))}", f"**{plain((top.headline,))}**"]
    lines.append(" ".join([plain(top.badge.pieces).capitalize() + ".", *(plain((one,)) for one in top.sentences)]))
    lines += [f"> {plain(one)}" for one in top.banner]
    lines += [f"> Waived: {plain((what,))}: {plain((why,))}" for what, why in top.waivers]
    lines.append(RESEARCH_ONLY)
    for section in sections(report, {}, whole=False):
        lines += [f"## {section.title}", *(part for block in section.blocks for part in markdown(block))]
    return "\n\n".join(line for line in lines if line) + "\n"


def plain(found: tuple[Piece, ...]) -> str:
    """Return pieces as one line in which no name is taken for Markdown or HTML."""
    return "".join(piece.text if isinstance(piece, Printed | Fixed) else _escaped(piece) for piece in found)


def _escaped(words: str) -> str:
    line = " ".join(words.split(" ")).replace("\r", " ").replace("\n", " ")
    for sign in ("\\", "|", "<", "`", "*", "]("):
        line = line.replace(sign, f"{sign[:-1]}\\{sign[-1]}")
    return line


def markdown(block: Block) -> Iterator[str]:
    """Yield the parts of a block; a chart and a gallery have none."""
    write: Callable[[Any], Iterator[str]] | None = _WRITERS.get(type(block))
    if write:
        yield from write(block)


def _lines(header: list[str], rows: list[list[str]], flush: list[bool]) -> str:
    rule = ["---:" if right else "---" for right in flush]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *rows))


def _table(block: Table) -> Iterator[str]:
    yield f"{plain((block.caption,))}:"
    rows = [[plain(cell.pieces) for cell in row.cells] for row in block.rows]
    yield _lines([plain((name,)) for name in block.header], rows, block.figures)
    if block.notes:
        yield plain(block.notes)


def _paragraph(block: Paragraph) -> Iterator[str]:
    yield plain(block.pieces)


def _points(block: Points) -> Iterator[str]:
    yield "\n".join(f"- {plain(item)}" for item in block.items)


def _heading(block: Heading) -> Iterator[str]:
    yield f"{'#' * block.level} {plain((block.text,))}"


def _fold(block: Fold) -> Iterator[str]:
    yield f"### {plain(block.title)}"
    for part in block.blocks:
        yield from markdown(part)


def _grid(block: Grid) -> Iterator[str]:
    for part in block.blocks:
        yield from markdown(part)


def _audits(block: Audits) -> Iterator[str]:
    rows = [
        [
            f"{plain((one.name,))} ({plain((one.where,))})",
            ", ".join(plain(badge.pieces) for badge in one.badges),
            plain((one.found,)),
            plain((one.limit,)) + (f" Waived: {plain((one.waiver,))}" if one.waiver else ""),
        ]
        for one in block.entries
    ]
    yield _lines(["audit", "result", "found", "limit"], rows, [False] * 4)


_WRITERS: dict[type, Callable[[Any], Iterator[str]]] = {
    Table: _table,
    Paragraph: _paragraph,
    Points: _points,
    Heading: _heading,
    Fold: _fold,
    Grid: _grid,
    Audits: _audits,
}
