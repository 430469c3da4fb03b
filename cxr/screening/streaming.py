"""Rows to a stream, as they come and in order; nothing is kept, so nothing can be gone on from."""

import io
from collections.abc import Iterator
from typing import BinaryIO

from cxr.screening.engine import screen
from cxr.screening.tables import write_text_table
from cxr.screening.tally import Tally
from cxr.screening.work import Watcher, Work


def stream(work: Work, stream: BinaryIO, watcher: Watcher) -> Tally:
    """Screen everything and write CSV or JSON Lines as UTF-8 to `stream`, flushed after each batch."""
    tally = Tally(work.schema)
    # A wrapper of its own, so that neither the locale nor the platform changes encoding or line ends.
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    try:
        write_text_table(text, work.format, work.schema.columns, _rows(work, tally, text, watcher))
        text.flush()
    finally:
        text.detach()
    return tally


def _rows(work: Work, tally: Tally, text: io.TextIOWrapper, watcher: Watcher) -> Iterator[list[str]]:
    candidates = work.selection.candidates
    watcher.resumed(0, 0, len(candidates))
    for outcomes in screen(candidates, work.asked.naming.root, work.models, work.workers, work.keywords):
        for outcome in outcomes:
            if outcome.row is None:
                tally.not_images.append(outcome.candidate.cell)
                continue
            cells = work.schema.cells(outcome.row)
            tally.count(cells)
            yield cells
        text.flush()
        watcher.screened(outcomes)
