"""What `cxr-batch` says while it works: to people, to programs, or nothing but errors."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cxr.cli.batch_options import Options
from cxr.cli.batch_words import Talk

if TYPE_CHECKING:
    from cxr.model_folder import ScreeningModel
    from cxr.screening.engine import Outcome
    from cxr.screening.explain import Explained
    from cxr.screening.query import Found
    from cxr.screening.select import Selection
    from cxr.screening.tally import Tally
    from cxr.screening.work import Work


class Voice(Protocol):
    """A run's events, in this order; also the `Watcher` of the job."""

    def scratch(self, folder: Path, address: str) -> None:
        """Say where the table for an address is made."""

    def found(self, found: "Found", selection: "Selection") -> None:
        """Say what is to be screened and what was left aside."""

    def listed(self, listed: int, others: int) -> None:
        """Say how many files a dry run listed, and how many are no images."""

    def loaded(self, models: "Sequence[ScreeningModel]") -> None:
        """Say which networks answer."""

    def resumed(self, kept: int, retried: int, total: int) -> None:
        """Say what an earlier run has done."""

    def screened(self, outcomes: "Sequence[Outcome]") -> None:
        """Say how far the run is."""

    def advanced(self, number: int) -> None:
        """Say how far the run is, where what became of each file is not at hand."""

    def lost(self, ending: str) -> None:
        """Say that a helping process has ended before its time."""

    def explained(self, explained: "Explained") -> None:
        """Say what became of the maps that were asked for."""

    def finished(self, tally: "Tally", work: "Work", options: Options) -> None:
        """Say what came out."""

    def interrupted(self, *, kept: bool) -> None:
        """Say how to go on."""

    def failed(self, sentence: str) -> None:
        """Say why the run stopped."""


@contextmanager
def voice_of(talk: Talk) -> Iterator[Voice]:
    """Give the voice for a way of talking; what it shows on a terminal is cleared at the end."""
    if talk is Talk.JSON:
        from cxr.cli.batch_log import JsonVoice

        yield JsonVoice()
        return
    from cxr.cli.batch_people import PeopleVoice

    voice = PeopleVoice(talk)
    try:
        yield voice
    finally:
        voice.close()
