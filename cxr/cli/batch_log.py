"""`--log-json`: one JSON object a line on stderr, for programs that watch a run."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr.cli.batch_options import Options
from cxr.screening.address import cleaned

if TYPE_CHECKING:
    from cxr.model_folder import ScreeningModel
    from cxr.screening.engine import Outcome
    from cxr.screening.explain import Explained
    from cxr.screening.query import Found
    from cxr.screening.select import Selection
    from cxr.screening.tally import Tally
    from cxr.screening.work import Work

PROGRESS_SECONDS = 5.0


class JsonVoice:
    """A `Voice` for programs; the events are listed in docs/results-csv.md."""

    def __init__(self) -> None:
        self._done = self._total = 0
        self._start = self._said = time.monotonic()

    def scratch(self, folder: Path, address: str) -> None:
        """See `Voice`."""
        self._say("scratch", folder=str(folder), address=address)

    def found(self, found: "Found", selection: "Selection") -> None:
        """See `Voice`."""
        self._say("found", files=len(selection.candidates), hidden=found.hidden, excluded=found.excluded)
        for cell, why in found.folders:
            self._say("folder_not_searched", path=cell, because=why)
        for cell in found.special:
            self._say("special_file", path=cell)

    def listed(self, listed: int, others: int) -> None:
        """See `Voice`."""
        self._say("listed", files=listed, not_an_image=others)

    def loaded(self, models: "Sequence[ScreeningModel]") -> None:
        """See `Voice`."""
        for number, model in enumerate(models):
            self._say(
                "loaded",
                model=model.identity,
                synthetic=model.synthetic,
                operating_point=model.operating_point or None,
                gate=model.gate.sha256 if model.gate and number == 0 else None,
            )

    def resumed(self, kept: int, retried: int, total: int) -> None:
        """See `Voice`."""
        self._done, self._total = kept, total
        self._say("resumed", kept=kept, retried=retried, files=total)

    def screened(self, outcomes: "Sequence[Outcome]") -> None:
        """See `Voice`."""
        for outcome in outcomes:
            row = outcome.row
            if row is not None and row.reason is not None:
                self._say("failed_file", path=row.path, status=row.status, reason=row.reason, detail=row.detail)
        self.advanced(len(outcomes))

    def advanced(self, number: int) -> None:
        """See `Voice`."""
        self._done += number
        if time.monotonic() - self._said > PROGRESS_SECONDS:
            self._said = time.monotonic()
            self._say("progress", done=self._done, files=self._total)

    def lost(self, ending: str) -> None:
        """See `Voice`."""
        self._say("lost_process", ending=ending)

    def explained(self, explained: "Explained") -> None:
        """See `Voice`."""
        self._say("explained", drawn=explained.drawn, changed=list(explained.changed), beyond_limit=explained.more)

    def finished(self, tally: "Tally", work: "Work", options: Options) -> None:  # noqa: ARG002
        """See `Voice`."""
        from cxr.screening.run_manifest import drift_facts

        self._say(
            "finished",
            output=cleaned(options.output),
            rows=tally.rows,
            statuses=dict(tally.statuses),
            reasons=dict(tally.reasons),
            decisions={
                head.identity: dict(counts)
                for head, counts in zip(tally.schema.heads, tally.decisions, strict=True)
                if head.applied
            },
            refer_reasons={
                head.identity: dict(counts)
                for head, counts in zip(tally.schema.heads, tally.refer_reasons, strict=True)
                if head.applied
            },
            drift=drift_facts(tally),
            not_an_image=len(tally.not_images),
            seconds=round(time.monotonic() - self._start, 3),
        )

    def interrupted(self, *, kept: bool) -> None:
        """See `Voice`."""
        self._say("interrupted", done=self._done, files=self._total, kept=kept)

    def failed(self, sentence: str) -> None:
        """See `Voice`."""
        self._say("error", message=sentence)

    def _say(self, event: str, **facts: Any) -> None:
        # ASCII, so that a name that is not UTF-8 cannot break the line.
        sys.stderr.write(json.dumps({"event": event, **facts}) + "\n")
        sys.stderr.flush()
