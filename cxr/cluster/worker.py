"""One worker: it loads the networks once, then makes a part of each slice of files that it is given."""

import pickle
from pathlib import Path
from typing import Any

from cxr.cluster.shipment import Shipment
from cxr.errors import DataError
from cxr.screening.ahead import IN_TURN
from cxr.screening.candidates import Candidate
from cxr.screening.engine import record_of, screen
from cxr.screening.parts import TRIES, write_part

MOST_TRIES = 4  # of a slice: Ray gives it to another worker where one dies, and a file may kill every one


class Worker:
    """Screens slices; Ray makes one in each process, and another one in place of one that died."""

    def __init__(self, shipment: Shipment) -> None:
        """Load the networks.

        Raises:
            DataError, ResumeError, ModelError: This machine cannot do what the one that began the run would.
        """
        shipment.check_here()
        self._shipment, self._models = shipment, shipment.models()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Screen a slice and write its part.

        Args:
            row: `part`, its number; `candidates`, pickled.

        Returns:
            `part`, and `places`, the position of each file's record, in the order of the candidates. A slice that was
            done before, by a worker that died, gives the same part again.

        Raises:
            DataError: Every worker that had the slice died.
        """
        shipment, number, candidates = self._shipment, int(row["part"]), _whole(row["candidates"])
        tries = shipment.parts / f"{number:08d}{TRIES}"
        with tries.open("ab") as file:
            file.write(b".")
        if tries.stat().st_size > MOST_TRIES:
            raise DataError(
                f"{MOST_TRIES} workers died one after the other while they screened {candidates[0].cell} to "
                f"{candidates[-1].cell}; screen these without --engine ray to see which file it is"
            )
        batches = screen(candidates, shipment.root, self._models, self._readers, shipment.keywords)
        records = [record_of(outcome, shipment.schema) for outcomes in batches for outcome in outcomes]
        places = write_part(shipment.parts, number, records)
        tries.unlink(missing_ok=True)
        return {"part": number, "places": places}

    @property
    def _readers(self) -> int:
        """A worker is a core, so files of a folder are read between the batches; those at an address are waited for."""
        return IN_TURN if isinstance(self._shipment.root, Path) else 0


def packed(candidates: list[Candidate]) -> bytes:
    """Return candidates as `Worker` takes them."""
    return pickle.dumps([(one.cell, one.relative, one.named, one.mark) for one in candidates])


def _whole(packed: bytes) -> list[Candidate]:
    return [Candidate(*one) for one in pickle.loads(packed)]
