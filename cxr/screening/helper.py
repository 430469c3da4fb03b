"""What a process does that helps another one, see `cxr.screening.crew`."""

import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection

from cxr.errors import CxrError
from cxr.model_folder import ScreeningModel
from cxr.screening.ahead import IN_TURN
from cxr.screening.candidates import Candidate
from cxr.screening.duty import Duty, at_points
from cxr.screening.engine import record_of, screen

UNABLE = 1  # exit status of one that cannot load the networks


def help_with(
    connection: Connection,
    others: Sequence[Connection],
    candidates: Sequence[Candidate],
    load: Callable[[], list[ScreeningModel]],
) -> None:
    """Screen what comes through `connection`, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the one that is helped closes the connection
    for other in others:  # else they would stay open when that one is gone
        other.close()
    with suppress(EOFError, ConnectionError):
        try:
            models = load()
            duty: Duty = connection.recv()
            duty.check(models)
        except CxrError:  # the process that is helped finds the same, and says so
            sys.exit(UNABLE)
        models = at_points(models, duty.points)
        while True:
            some = [candidates[number] for number in connection.recv()]
            screened = screen(some, duty.root, models, IN_TURN, duty.keywords)
            outcomes = [outcome for outcomes in screened for outcome in outcomes]
            failed = [outcome for outcome in outcomes if outcome.row is not None and outcome.row.reason is not None]
            connection.send(([record_of(outcome, duty.schema) for outcome in outcomes], failed))
