"""`--report`: the page with thumbnails, from the finished table and the files it names."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cxr.screening.ahead import work_ahead
from cxr.screening.applied import applied_of
from cxr.screening.candidates import Candidate
from cxr.screening.local import store_of
from cxr.screening.output import OutputFiles
from cxr.screening.reading import read
from cxr.screening.sheet import write_sheet
from cxr.screening.store import Root
from cxr.screening.tables import read_table
from cxr.screening.thumbnails import SIDE, thumbnail_of

if TYPE_CHECKING:
    from cxr.screening.tally import Tally
    from cxr.screening.work import Work

Record = Mapping[str, str]


def write_report(page: Path, work: "Work", files: OutputFiles, tally: "Tally") -> None:
    """Write the page of a finished run; each picture is decoded once more, some ahead of where the page is."""
    thumbnails: dict[str, bytes | None] = {}
    candidates = {one.cell: one for one in work.selection.candidates}
    root = work.asked.naming.root

    def made(record: Record) -> tuple[Record, bytes | None]:
        return record, _thumbnail(record, candidates[record["path"]], root)

    def records() -> Iterator[Record]:
        rows = read_table(files.results, work.format)
        for record, thumbnail in work_ahead(made, rows, work.workers or store_of(root).workers, 64):
            thumbnails[record["path"]] = thumbnail
            yield record

    write_sheet(
        page,
        records(),
        work.models[0].classes,
        lambda record: thumbnails.pop(record["path"]),
        _about(work, files, tally),
    )


def _thumbnail(record: Record, candidate: Candidate, root: Root) -> bytes | None:
    """Return the picture of a row, or None where there is none or the file has changed since."""
    if not record["width"]:
        return None
    reading = read(candidate, root, [SIDE])
    same = reading.sha256 == record["sha256"]
    return thumbnail_of(reading.planes[SIDE]) if same and reading.planes else None


def _points(work: "Work") -> list[str]:
    return [
        f"{applied.point} ({applied.target} suspected from {applied.threshold:.3f} on)"
        for applied in map(applied_of, work.models)
        if applied
    ]


def _about(work: "Work", files: OutputFiles, tally: "Tally") -> dict[str, str]:
    from cxr import __version__

    drawn = any(int(model.description["data"].get("synthetic_images", 0)) for model in work.models)
    return {
        "cxr-batch": __version__,
        "model": ", ".join(model.identity for model in work.models),
        **({"decided at": ", ".join(points)} if (points := _points(work)) else {}),
        **({"gate": gate.sha256[:12]} if (gate := work.schema.gate) else {}),
        **({"warning": "trained on drawn phantoms; the answers mean nothing for patients"} if drawn else {}),
        "results": files.results.name,
        "manifest": files.manifest.name,
        "rows": f"{tally.rows:,}",
        **{f"{status}": f"{count:,}" for status, count in sorted(tally.statuses.items())},
    }
