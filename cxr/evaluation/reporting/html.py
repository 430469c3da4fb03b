"""reports/report.html: one page that opens offline, forbids itself every request, and is equal for equal input."""

import base64
import hashlib
import json
from functools import cache
from importlib import resources

import jinja2
from markupsafe import Markup

from cxr.evaluation.markdown import RESEARCH_ONLY
from cxr.evaluation.reporting.blocks import Cell
from cxr.evaluation.reporting.charts_base import CONFIG
from cxr.evaluation.reporting.document import sections
from cxr.evaluation.reporting.page_errors import Pictures
from cxr.evaluation.reporting.page_verdict import head
from cxr.evaluation.reporting.pieces import Fixed, Piece, Printed
from cxr.files import JsonObject

VEGA_LITE = "6.4"
# Nothing is fetched: scripts are named by their digests. Styles are inline, those that Vega sets as well.
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {scripts}; base-uri 'none'; "
    "form-action 'none'"
)


def render_html(report: JsonObject, pictures: Pictures) -> str:
    """Return the page.

    Args:
        report: The content of reports/report.json, completed; what is absent is named as not measured.
        pictures: Image and heat map as PNG bytes by model name and file; what is absent shows as an empty frame.
    """
    scripts = [_library(), _resource("report.js")]
    policy = _POLICY.format(scripts=" ".join(f"'sha256-{_digest(script)}'" for script in scripts))
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=report.get("title") or "Evaluation",
            policy=policy,
            style=Markup(_resource("report.css")),
            scripts=[Markup(script) for script in scripts],
            config=CONFIG,
            head=head(report),
            research=RESEARCH_ONLY,
            sections=sections(report, pictures),
        )
    )


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_resource),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"pieces": pieces, "as_json": script_json, "data_uri": data_uri, "shade": shade}
    return environment


def pieces(found: tuple[Piece, ...]) -> Markup:
    """Return pieces as HTML; a figure carries the number of the JSON that it was rounded from."""
    return Markup("").join(_piece(piece) for piece in found)


def _piece(piece: Piece) -> Markup:
    if isinstance(piece, Printed):
        return Markup('<data value="{}">{}</data>').format(json.dumps(piece.value), piece.text)
    if isinstance(piece, Fixed):
        return Markup('<span class="fixed">{}</span>').format(piece.text)
    return Markup("{}").format(piece)


def script_json(value: object) -> Markup:
    """Return JSON that cannot end its script element, whatever a file is called."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def data_uri(png: bytes) -> str:
    """Return a picture as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def shade(cell: Cell) -> str:
    """Return the style of a cell that is shaded by its share, or nothing."""
    return "" if cell.share is None else f"--share:{round(100 * cell.share)}%"


def _resource(name: str) -> str:
    return resources.files("cxr.evaluation.reporting").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _library() -> str:
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed=vegaEmbed;", VEGA_LITE)
    return bundle.replace("</script", "<\\/script")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
