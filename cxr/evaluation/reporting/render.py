"""One document as HTML and as Markdown: a page that opens offline and forbids itself every request."""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources

import jinja2
from markupsafe import Markup

from cxr.core.pages import INLINE, base64_text, content_policy, script_json
from cxr.evaluation.records import Report
from cxr.evaluation.reporting.charts import CONFIG
from cxr.evaluation.reporting.document import (
    Audits,
    Block,
    Cell,
    Fixed,
    Fold,
    Grid,
    Heading,
    Paragraph,
    Pictures,
    Piece,
    Points,
    Printed,
    Section,
    Table,
)
from cxr.evaluation.reporting.format import RESEARCH_ONLY
from cxr.evaluation.reporting.network import each_model_section
from cxr.evaluation.reporting.networks import comparisons_section, errors_section, learning_section, models_section
from cxr.evaluation.reporting.overview import (
    audits_section,
    data_section,
    limitations_section,
    out_of_scope_section,
    page_head,
    reproducibility_section,
    standards_section,
    unseen_section,
)


def sections(report: Report, pictures: Pictures, whole: bool = True) -> list[Section]:
    """Return all sections but the verdict, which is the head of the page.

    Args:
        report: The content of reports/report.json.
        pictures: Image and heat map as PNG by model and file.
        whole: False for what stands in Markdown, without pictures.
    """
    elsewhere = (unseen_section(report), out_of_scope_section(report))
    return [
        *(section for section in elsewhere if section),
        models_section(report),
        audits_section(report),
        data_section(report),
        each_model_section(report),
        learning_section(report),
        comparisons_section(report),
        *([errors_section(report, pictures)] if whole else []),
        reproducibility_section(report),
        standards_section(report),
        limitations_section(report),
    ]


VEGA_LITE = "6.4"


def render_html(report: Report, pictures: Pictures) -> str:
    """Return the page.

    Args:
        report: The content of reports/report.json.
        pictures: Image and heat map as PNG bytes by model name and file; what is absent shows as an empty frame.
    """
    scripts = [vega_library(), _resource("report.js")]
    template = _environment().get_template("report.html.j2")
    return template.render(
        title=report.title,
        # Vega sets styles of its own.
        policy=content_policy("data:", INLINE, scripts, more="form-action 'none'"),
        style=Markup(_resource("report.css")),
        scripts=[Markup(script) for script in scripts],
        config=CONFIG,
        head=page_head(report),
        research=RESEARCH_ONLY,
        sections=sections(report, pictures),
    )


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_resource),
        autoescape=True,
        finalize=lambda value: _on_one_line(value) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"pieces": _html_pieces, "as_json": _as_json, "data_uri": _data_uri, "shade": _shade}
    return environment


def _html_pieces(found: tuple[Piece, ...]) -> Markup:
    """Return pieces as HTML; a figure carries the number of the JSON that it was rounded from."""
    return Markup("").join(_piece(piece) for piece in found)


def _piece(piece: Piece) -> Markup:
    if isinstance(piece, Printed):
        return Markup('<data value="{}">{}</data>').format(json.dumps(piece.value), _on_one_line(piece.text))
    if isinstance(piece, Fixed):
        return Markup('<span class="fixed">{}</span>').format(_on_one_line(piece.text))
    return Markup("{}").format(_on_one_line(piece))


def _on_one_line(text: str) -> str:
    """Return a text whose lines are not broken between a number and its sign."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _as_json(value: object) -> Markup:
    return Markup(script_json(value))


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64_text(png)


def _shade(cell: Cell) -> str:
    """Return the style of a cell that is shaded by its share, or nothing."""
    return "" if cell.share is None else f"--share:{round(100 * cell.share)}%"


def _resource(name: str) -> str:
    return resources.files("cxr.evaluation.reporting").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def vega_library() -> str:
    """Return the script that defines `vegaEmbed`, with Vega and Vega-Lite in it."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed=vegaEmbed;", VEGA_LITE)
    return bundle.replace("</script", "<\\/script")


def render_markdown(report: Report) -> str:
    """Return the report as Markdown; the page beside it has charts and pictures."""
    top = page_head(report)
    lines = [f"# {plain((report.title,))}", f"**{plain((top.headline,))}**"]
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
    match block:
        case Table():
            yield from _table(block)
        case Audits():
            yield _audits(block)
        case Paragraph():
            yield plain(block.pieces)
        case Points():
            yield "\n".join(f"- {plain(item)}" for item in block.items)
        case Heading():
            yield f"{'#' * block.level} {plain((block.text,))}"
        case Fold():
            yield f"{'#' * block.level} {plain(block.title)}"
            yield from _each(block.blocks)
        case Grid():
            yield from _each(block.blocks)


def _each(blocks: Iterable[Block]) -> Iterator[str]:
    for block in blocks:
        yield from markdown(block)


def _table(block: Table) -> Iterator[str]:
    yield f"{plain((block.caption,))}:"
    rows = [[plain(cell.pieces) for cell in row.cells] for row in block.rows]
    yield _lines([plain((name,)) for name in block.header], rows, block.figures)
    if block.notes:
        yield plain(block.notes)


def _audits(block: Audits) -> str:
    rows = [
        [
            f"{plain((entry.name,))} ({plain((entry.stage,))})",
            ", ".join(plain(badge.pieces) for badge in one.badges),
            plain((one.found,)) + (f" Waived: {plain((one.waiver,))}" if one.waiver else ""),
            plain((entry.limit,)) if one is entry.findings[0] else "",
        ]
        for entry in block.entries
        for one in entry.findings
    ]
    return _lines(["audit", "result", "found", "limit"], rows, [False] * 4)


def _lines(header: list[str], rows: list[list[str]], flush: list[bool]) -> str:
    rule = ["---:" if right else "---" for right in flush]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *rows))
