"""The list of what was explained: index.html to look at, offline and without scripts, and index.json for programs."""

import base64
import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from cxr.files import read_json, write_json, write_text
from cxr.screening.explain_words import RESEARCH

INDEX_PAGE, INDEX_FILE = "index.html", "index.json"
FORM = 1
CELLS = ("path", "sha256", "prediction", "confidence", "decision", "refer_reason", "flags")
_NAME = re.compile(r"[0-9a-f]{16}[A-Za-z0-9._-]*\.png")
_STYLE = (
    "body{font:16px/1.4 sans-serif;margin:2em auto;max-width:960px;padding:0 1em}"
    "img{max-width:100%;height:auto;display:block}figure{margin:2em 0}figcaption{overflow-wrap:anywhere}"
)
# Nothing is fetched from elsewhere, whatever a file is called.
_POLICY = "default-src 'none'; img-src 'self' file:; style-src 'sha256-{style}'; base-uri 'none'"


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture and the row it explains."""

    name: str
    record: Mapping[str, str]


def write_index(
    folder: Path, shown: Sequence[Shown], changed: Sequence[str], more: int, identity: str, worth: str
) -> None:
    """Write both lists, each whole or not at all.

    Args:
        folder: Where the pictures are.
        shown: In the order of the table.
        changed: Cells of files that were not drawn, because they have changed.
        more: Number of rows left aside by the limit.
        identity: Of the network.
        worth: What its maps were found to be worth.
    """
    pictures = [{"picture": one.name} | {name: one.record[name] for name in CELLS} for one in shown]
    facts = {"explained": FORM, "model": identity, "maps": worth, "beyond_limit": more, "changed": list(changed)}
    write_text(folder / INDEX_PAGE, "".join(_page(shown, changed, more, identity, worth)))
    write_json(folder / INDEX_FILE, facts | {"pictures": pictures})


def remove_others(folder: Path, names: Collection[str]) -> None:
    """Remove the pictures of an earlier call, as far as its index lists them, that are not among `names`."""
    try:
        index = read_json(folder / INDEX_FILE)
        listed = [str(one["picture"]) for one in index["pictures"]] if index["explained"] == FORM else []
    except (OSError, ValueError, KeyError, TypeError):
        return
    for name in listed:
        if name not in names and _NAME.fullmatch(name):
            (folder / name).unlink(missing_ok=True)


def _page(shown: Sequence[Shown], changed: Sequence[str], more: int, identity: str, worth: str) -> Iterator[str]:
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY.format(style=digest)}">\n'
    yield f"<title>Maps of {escape(identity)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
    yield f"<h1>Maps of {escape(identity)}</h1>\n<p>{escape(worth)}</p>\n<p>{RESEARCH}</p>\n"
    yield f"<p>{len(shown):,} pictures; {more:,} more rows were left aside by --explain-limit.</p>\n"
    if changed:
        items = "".join(f"<li>{escape(cell)}</li>" for cell in changed)
        yield f"<p>Not drawn, because these files have changed since they were screened:</p>\n<ul>{items}</ul>\n"
    for one in shown:
        record = one.record
        said = " ".join((record["prediction"], record["confidence"], record["decision"], record["flags"]))
        words = escape(f"{record['path']}: {said.strip()}")
        yield f'<figure><img loading="lazy" src="{escape(one.name)}" alt="{words}"><figcaption>{words}</figcaption>'
        yield "</figure>\n"
    yield "</body>\n</html>\n"
