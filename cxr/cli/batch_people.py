"""What `cxr-batch` says to people: a bar on a terminal, what was left aside, and a summary."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from cxr.cli.batch_options import Options
from cxr.cli.batch_summary import print_summary
from cxr.cli.batch_words import Talk
from cxr.cli.console import stderr
from cxr.cli.progress import bar
from cxr.screening.escape import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from cxr.model_folder import ScreeningModel
    from cxr.screening.engine import Outcome
    from cxr.screening.explain import Explained
    from cxr.screening.query import Found
    from cxr.screening.select import Selection
    from cxr.screening.tally import Tally
    from cxr.screening.work import Work


class PeopleVoice:
    """A `Voice` for people; with `Talk.QUIET` it says errors only."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._errors = stderr()
        self._console = stderr(quiet=talk is Talk.QUIET)
        self._progress: Progress | None = None
        self._start = time.monotonic()
        self._now = 0

    def close(self) -> None:
        """Clear the bar."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def scratch(self, folder: Path, address: str) -> None:
        """See `Voice`."""
        self._say(f"the table is made in {printable(str(folder))} and sent to {printable(address)} when it is whole")

    def found(self, found: "Found", selection: "Selection") -> None:
        """See `Voice`."""
        for cell, why in found.folders:
            if why == "unreadable":
                self._warn(f"cannot list the folder {cell}")
        for count, what in (
            (len(found.special), "pipes, sockets or devices left aside"),
            (found.hidden, "hidden files left aside"),
            (found.excluded, "files left aside by --include and --exclude"),
            (sum(why == "link" for _, why in found.folders), "links to folders not followed"),
            (sum(why in ("hidden", "excluded", "not_recursive") for _, why in found.folders), "folders not searched"),
            (selection.unchanged, "files left aside because they are as they were"),
            (selection.other_shards, "files left to other shards"),
            (selection.beyond_limit, "files left aside by --limit"),
        ):
            if count:
                self._say(f"{count:,} {what}")

    def listed(self, listed: int, others: int) -> None:
        """See `Voice`."""
        self._say(f"{listed:,} files would have a row; {others:,} others are no images")

    def loaded(self, models: "Sequence[ScreeningModel]") -> None:
        """See `Voice`."""
        for model in models:
            if model.synthetic:
                self._warn(
                    f"model {model.identity} was trained on drawn phantoms; its answers mean nothing for patients"
                )

    def resumed(self, kept: int, retried: int, total: int) -> None:
        """See `Voice`."""
        if kept or retried:
            again = f"; {retried:,} failed before and are tried again" if retried else ""
            self._say(f"going on: {kept:,} of {total:,} files were done before{again}")
        if self._talk is not Talk.QUIET:
            self._progress = bar(self._console)
            self._progress.start()
            self._task = self._progress.add_task("screening", total=total, completed=kept)

    def screened(self, outcomes: "Sequence[Outcome]") -> None:
        """See `Voice`."""
        self.advanced(len(outcomes))
        if self._talk is Talk.VERBOSE:
            for outcome in outcomes:
                self._say(_line(outcome))

    def advanced(self, number: int) -> None:
        """See `Voice`."""
        self._now += number
        if self._progress is not None:
            self._progress.advance(self._task, number)

    def lost(self, ending: str) -> None:
        """See `Voice`."""
        self._warn(f"a process that helped {ending}; what it had is screened by the others")

    def explained(self, explained: "Explained") -> None:
        """See `Voice`."""
        self._say(f"{explained.drawn:,} maps drawn")
        for cell in explained.changed:
            self._warn(f"no map of {cell}: the file has changed since it was screened")
        if explained.more:
            self._warn(f"{explained.more:,} more rows have no map; raise --explain-limit to draw them")

    def finished(self, tally: "Tally", work: "Work", options: Options) -> None:
        """See `Voice`."""
        self.close()
        print_summary(self._console, tally, work, options, self._now, time.monotonic() - self._start)

    def interrupted(self, *, kept: bool) -> None:
        """See `Voice`."""
        self.close()
        rest = "what was done is kept: run the same command again to go on" if kept else "nothing was kept"
        _print(self._errors, f"interrupted; {rest}")

    def failed(self, sentence: str) -> None:
        """See `Voice`."""
        self.close()
        _print(self._errors, Text.assemble(("error: ", "red"), printable(sentence)))

    def _warn(self, sentence: str) -> None:
        _print(self._console, Text.assemble(("warning: ", "yellow"), sentence))

    def _say(self, sentence: str) -> None:
        _print(self._console, sentence)


def _line(outcome: "Outcome") -> str:
    row = outcome.row
    if row is None:
        return f"{outcome.candidate.cell}: no image"
    if row.reason is not None:
        return f"{row.path}: {row.status}, {row.reason} ({printable(row.detail)})"
    facts, answer = row.facts, row.answers[0]
    assert facts is not None
    assert answer is not None
    done = " ".join(
        (f"{facts.width}x{facts.height}", facts.format, f"{facts.bit_depth}-bit {facts.mode}", *facts.steps)
    )
    decided = f", {answer.decision.word}" if answer.decision else ""
    return f"{row.path}: {answer.prediction} {answer.confidence:.6f}{decided} ({' '.join((done, *row.flags))})"


def _print(console: "Console", text: str | Text) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
