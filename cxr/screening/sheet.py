"""One page to look at: a thumbnail and every cell of each row, sorted and filtered in the browser, offline."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path

from cxr.files import whole_file

Record = Mapping[str, str]

# Nothing is fetched: inline style and script are named by their digests, pictures are part of the page.
_POLICY = "default-src 'none'; img-src data:; style-src 'sha256-{style}'; script-src {scripts}; base-uri 'none'"
_ROWS_A_SCRIPT = 500


def write_sheet(
    path: Path,
    records: Iterable[Record],
    classes: Sequence[str],
    thumbnail: Callable[[Record], bytes | None],
    about: Mapping[str, str],
) -> None:
    """Write the page whole or not at all; memory does not grow with the number of rows.

    Args:
        path: Of the page.
        records: Rows of a table, cells as text by column, all with the same columns.
        classes: Of the first network, in its order.
        thumbnail: Gives the WebP bytes of a row's picture, or None; called once for each row, in order.
        about: What the header says, in order.
    """
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_page(records, classes, thumbnail, about))


def _page(
    records: Iterable[Record],
    classes: Sequence[str],
    thumbnail: Callable[[Record], bytes | None],
    about: Mapping[str, str],
) -> Iterator[str]:
    style, script, body = (_template(name) for name in ("sheet.css", "sheet.js", "sheet.html"))
    head = {"classes": list(classes), "about": list(about.items())}
    policy = _POLICY.format(style=_digest(style), scripts=f"'sha256-{_digest(script)}'")
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield f"<title>cxr-batch</title>\n<style>{style}</style>\n</head>\n{body}"
    yield f'<script type="application/json" id="head">{_json(head)}</script>\n'
    columns: list[str] = []
    for group in _groups(records):
        if not columns:
            columns = list(group[0])
            yield f'<script type="application/json" id="columns">{_json(columns)}</script>\n'
        # A data block a few hundred rows, so that a browser parses none that is hundreds of megabytes long.
        rows = [[*record.values(), _encoded(thumbnail(record))] for record in group]
        yield f'<script type="application/json" class="rows">{_json(rows)}</script>\n'
    yield f"<script>{script}</script>\n</body>\n</html>\n"


def _groups(records: Iterable[Record]) -> Iterator[list[Record]]:
    group: list[Record] = []
    for record in records:
        group.append(record)
        if len(group) == _ROWS_A_SCRIPT:
            yield group
            group = []
    if group:
        yield group


def _template(name: str) -> str:
    return resources.files("cxr.screening").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _encoded(picture: bytes | None) -> str:
    return base64.b64encode(picture).decode() if picture else ""


def _json(value: object) -> str:
    """Return JSON that cannot end its script element, whatever a file is called."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")
