"""One page to look at: a thumbnail and every cell of each row, sorted and filtered in the browser, offline."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from cxr.core.files import start_of, whole_file
from cxr.core.image import Plane, to_plane
from cxr.core.pages import base64_text, content_policy, image_bytes, script_json
from cxr.inference.gate import score_in
from cxr.screening.candidates import Candidate
from cxr.screening.engine import Run
from cxr.screening.paths import PathStyle, printable
from cxr.screening.read import prefetch, read
from cxr.screening.run_manifest import Tally
from cxr.screening.schema import ModelColumns
from cxr.screening.storage import store_of
from cxr.screening.summary import copies_sentence, drift_sentences, meanings_of, others_sentence, warnings_of, whose
from cxr.screening.tables import OutputFiles, read_table

Record = Mapping[str, str]

_ROWS_A_SCRIPT = 500
_TITLE = "cxr-batch"


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page has of a file beside its row.

    Attributes:
        thumbnail: WebP bytes; empty where there is no picture.
        larger: The same; empty where the thumbnail must do.
        link: Address of the file, from the page; empty where there is none.
    """

    thumbnail: bytes = b""
    larger: bytes = b""
    link: str = ""


@dataclass(frozen=True, slots=True)
class PageHead:
    """What stands above the tiles.

    Attributes:
        classes: Of the first network, in its order.
        about: Names and values, in order.
        warnings: Clauses.
        meanings: Of the words of decisions, reasons to refer and statuses.
        aside: How many files have no tile; empty where all have one.
        networks: Of which of several networks the answers on the tiles are; empty where there is one.
    """

    classes: Sequence[str]
    about: Mapping[str, str]
    warnings: Sequence[str] = ()
    meanings: Mapping[str, str] = field(default_factory=dict)
    aside: str = ""
    networks: str = ""


def write_page(path: Path, records: Iterable[Record], head: PageHead, shown: Callable[[Record], Shown]) -> None:
    """Write the page whole or not at all; memory does not grow with the number of rows.

    Args:
        path: Of the page.
        records: Rows of a table, cells as text by column, all with the same columns.
        head: What stands above them.
        shown: Gives what is shown beside a row; called once for each, in order.
    """
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_page(records, head, shown))


def _page(records: Iterable[Record], head: PageHead, shown: Callable[[Record], Shown]) -> Iterator[str]:
    style, script, body = (_template(name) for name in ("gallery.css", "gallery.js", "gallery.html"))
    policy = content_policy("data:", style, [script])
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield f"<title>{_TITLE}</title>\n<style>{style}</style>\n</head>\n{body}"
    yield f'<script type="application/json" id="head">{script_json(_form(head))}</script>\n'
    columns: list[str] = []
    for group in _groups(records):
        if not columns:
            columns = list(group[0])
            yield f'<script type="application/json" id="columns">{script_json(columns)}</script>\n'
        # A data block a few hundred rows, so that a browser parses none that is hundreds of megabytes long.
        rows = [[*record.values(), *_beside(record, shown(record))] for record in group]
        yield f'<script type="application/json" class="rows">{script_json(rows)}</script>\n'
    yield f"<script>{script}</script>\n</body>\n</html>\n"


def _form(head: PageHead) -> dict[str, object]:
    return asdict(head) | {"about": list(head.about.items()), "meanings": list(head.meanings.items())}


def _beside(record: Record, shown: Shown) -> list[str]:
    return [base64_text(shown.thumbnail), base64_text(shown.larger), shown.link, score_in(record["detail"])]


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


SIDE = 112  # pixels of a thumbnail
_QUALITY = 55  # about 2 kB a thumbnail
_LARGER = ((1_000, 448), (10_000, 224))  # rows, and up to so many the pixels of the larger picture: at most 30 MB


def is_page(path: Path) -> bool:
    """Tell whether a file begins as a page of `write_page` does."""
    return f"<title>{_TITLE}</title>".encode() in start_of(path)


def larger_side(rows: int) -> int:
    """Return the pixels of the larger pictures of a page of `rows`; 0: there are none, or the page would be too big."""
    return next((side for most, side in _LARGER if rows <= most), 0)


def webp(plane: Plane, side: int) -> bytes:
    """Return uint8 (n, n) as grey WebP bytes of (side, side)."""
    return image_bytes(Image.fromarray(to_plane(plane, side)), "WEBP", quality=_QUALITY, method=4)


def write_gallery(page: Path, work: Run, files: OutputFiles, tally: Tally) -> None:
    """Write the page of a finished run; each picture is decoded once more, some ahead of where the page is."""
    waiting: dict[str, Shown] = {}
    candidates = {one.cell: one for one in work.selection.candidates}
    root, side = work.request.naming.root, larger_side(tally.rows)
    start = Path(os.path.abspath(page)).parent  # noqa: PTH100  resolve() would follow a link out of the page's folder

    def made(record: Record) -> tuple[Record, Shown]:
        candidate = candidates[record["path"]]
        return record, Shown(*_pictures(record, candidate, work, side), _link(candidate, work, start))

    def records() -> Iterator[Record]:
        rows = read_table(files.results, work.format, work.schema.columns)
        for record, shown in prefetch(made, rows, work.workers or store_of(root).workers, 64):
            waiting[record["path"]] = shown
            yield record

    others = others_sentence(tally)
    aside = (
        f"{others}; {printable(files.manifest.name)} names {'it' if len(tally.not_images) == 1 else 'them'}"
        if others
        else ""
    )
    about = _about(work, files, tally)
    classes, networks = work.models[0].classes, networks_sentence(work.schema.heads)
    head = PageHead(classes, about, warnings_of(tally), meanings_of(tally), aside, networks)
    write_page(page, records(), head, lambda record: waiting.pop(record["path"]))


def networks_sentence(heads: Sequence[ModelColumns]) -> str:
    """Say which of several networks the page shows, and where the others are; empty where there is one."""
    first, *others = (head.identity for head in heads)
    if not others:
        return ""
    # The first may have no decisions: then the words are explained as the next one with decisions means them.
    decides = next((head.identity for head in heads if head.applied), "")
    whose_threshold = "its own" if decides == first else f"that of {decides}"
    threshold = f", and the threshold under 'What the words mean' is {whose_threshold}" if decides else ""
    return (
        f"{len(heads)} networks answered: predictions, probabilities and decisions on the tiles, in the counts and in "
        f"the filters are those of {first} alone{threshold}; what {' and '.join(others)} "
        f"{'says' if len(others) == 1 else 'say'} is in each film's details."
    )


def _pictures(record: Record, candidate: Candidate, work: Run, side: int) -> tuple[bytes, bytes]:
    """Return the thumbnail of a row and the larger picture, empty where there is none or the file has changed since."""
    if not record["width"]:
        return b"", b""
    decoded = side or SIDE
    reading = read(candidate, work.request.naming.root, [decoded], replace(work.reading, keywords=()))
    if reading.sha256 != record["sha256"] or not reading.planes:
        return b"", b""
    plane = reading.planes[decoded]
    return webp(plane, SIDE), webp(plane, side) if side else b""


def _link(candidate: Candidate, work: Run, start: Path) -> str:
    """Return the address of a file from the folder of the page; empty of one elsewhere, or where names are hidden."""
    naming = work.request.naming
    if naming.style is PathStyle.HASHED or not isinstance(naming.root, Path):
        return ""
    path = naming.root / candidate.relative
    try:
        return quote(os.fsencode(Path(os.path.relpath(path, start)).as_posix()))
    except ValueError:  # Windows: the page lies on another drive
        return path.as_uri()


def _points(tally: Tally) -> list[str]:
    return [
        f"{whose(tally, head)}{applied.operating_point} ({applied.target} suspected from {applied.threshold:.6f} on)"
        for head in tally.schema.heads
        if (applied := head.applied)
    ]


def _about(work: Run, files: OutputFiles, tally: Tally) -> dict[str, str]:
    from cxr import __version__

    copies = copies_sentence(tally)
    like = [sentence for odd, sentence in drift_sentences(tally) if not odd]
    return {
        "cxr-batch": __version__,
        "model": ", ".join(model.identity for model in work.models),
        **({"decided at": ", ".join(points)} if (points := _points(tally)) else {}),
        **({"gate": gate.sha256[:12]} if (gate := work.schema.gate) else {}),
        "results": printable(files.results.name),
        "manifest": printable(files.manifest.name),
        "rows": f"{tally.rows:,}",
        **({"copies": copies} if copies else {}),
        **({"beside validation": "; ".join(like)} if like else {}),
    }
