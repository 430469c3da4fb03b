"""One page to look at: a thumbnail and every cell of each row, sorted and filtered in the browser, offline."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

from PIL import Image

from cxr.core.files import whole_file
from cxr.core.image import Plane
from cxr.core.offline_page import base64_text, content_policy, script_json
from cxr.inference.pictures import image_bytes
from cxr.screening.candidates import Candidate
from cxr.screening.engine import Run
from cxr.screening.output import OutputFiles
from cxr.screening.paths import printable
from cxr.screening.read import prefetch, read
from cxr.screening.run_manifest import Tally
from cxr.screening.storage import store_of
from cxr.screening.tables import read_table

Record = Mapping[str, str]

_ROWS_A_SCRIPT = 500


def write_page(
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
    style, script, body = (_template(name) for name in ("gallery.css", "gallery.js", "gallery.html"))
    head = {"classes": list(classes), "about": list(about.items())}
    policy = content_policy("data:", style, [script])
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield f"<title>cxr-batch</title>\n<style>{style}</style>\n</head>\n{body}"
    yield f'<script type="application/json" id="head">{script_json(head)}</script>\n'
    columns: list[str] = []
    for group in _groups(records):
        if not columns:
            columns = list(group[0])
            yield f'<script type="application/json" id="columns">{script_json(columns)}</script>\n'
        # A data block a few hundred rows, so that a browser parses none that is hundreds of megabytes long.
        rows = [[*record.values(), base64_text(thumbnail(record) or b"")] for record in group]
        yield f'<script type="application/json" class="rows">{script_json(rows)}</script>\n'
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


SIDE = 112  # pixels
_QUALITY = 55  # about 2 kB a film


def webp_thumbnail(plane: Plane) -> bytes:
    """Return uint8 (side, side) as grey WebP bytes."""
    return image_bytes(Image.fromarray(plane), "WEBP", quality=_QUALITY, method=4)


def write_gallery(page: Path, work: Run, files: OutputFiles, tally: Tally) -> None:
    """Write the page of a finished run; each picture is decoded once more, some ahead of where the page is."""
    thumbnails: dict[str, bytes | None] = {}
    candidates = {one.cell: one for one in work.selection.candidates}
    root = work.request.naming.root

    def made(record: Record) -> tuple[Record, bytes | None]:
        return record, _thumbnail(record, candidates[record["path"]], work)

    def records() -> Iterator[Record]:
        rows = read_table(files.results, work.format, work.schema.columns)
        for record, thumbnail in prefetch(made, rows, work.workers or store_of(root).workers, 64):
            thumbnails[record["path"]] = thumbnail
            yield record

    write_page(
        page,
        records(),
        work.models[0].classes,
        lambda record: thumbnails.pop(record["path"]),
        _about(work, files, tally),
    )


def _thumbnail(record: Record, candidate: Candidate, work: Run) -> bytes | None:
    """Return the picture of a row, or None where there is none or the file has changed since."""
    if not record["width"]:
        return None
    reading = read(candidate, work.request.naming.root, [SIDE], replace(work.reading, keywords=()))
    same = reading.sha256 == record["sha256"]
    return webp_thumbnail(reading.planes[SIDE]) if same and reading.planes else None


def _points(work: Run) -> list[str]:
    return [
        f"{applied.operating_point} ({applied.target} suspected from {applied.threshold:.3f} on)"
        for head in work.schema.heads
        if (applied := head.applied)
    ]


def _about(work: Run, files: OutputFiles, tally: Tally) -> dict[str, str]:
    from cxr import __version__

    drawn = any(int(model.description["data"].get("synthetic_images", 0)) for model in work.models)
    return {
        "cxr-batch": __version__,
        "model": ", ".join(model.identity for model in work.models),
        **({"decided at": ", ".join(points)} if (points := _points(work)) else {}),
        **({"gate": gate.sha256[:12]} if (gate := work.schema.gate) else {}),
        **({"warning": "trained on drawn phantoms; the answers mean nothing for patients"} if drawn else {}),
        "results": printable(files.results.name),
        "manifest": printable(files.manifest.name),
        "rows": f"{tally.rows:,}",
        **{f"{status}": f"{count:,}" for status, count in sorted(tally.statuses.items())},
    }
