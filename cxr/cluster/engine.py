"""`--engine ray`: slices of the files go to a pool of workers, and each comes back as a part beside the results."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cxr.cluster.session import ray_session
from cxr.cluster.shipment import Shipment, ship
from cxr.cluster.worker import Worker, packed
from cxr.errors import CxrError, DataError
from cxr.files import JsonObject
from cxr.processor import available_cores
from cxr.screening.engines import Done, Log, refuse_leftovers
from cxr.screening.fingerprint import check_same
from cxr.screening.journal import read_header
from cxr.screening.output import OutputFiles
from cxr.screening.parts import HEADER_FILE, Parts, begin_parts
from cxr.screening.work import Watcher, Work

SLICE = 256  # files: what is lost where a worker dies, and what a part has


@dataclass(slots=True)
class RayEngine:
    """An `Engine` of Ray.

    Attributes:
        address: Of a cluster, as Ray takes it; None: one on this machine alone.
        most: Workers at most; 0: one for each core.
    """

    address: str | None = None
    most: int = 0
    _fingerprint: JsonObject = field(default_factory=dict)

    def opened(self, files: OutputFiles, fingerprint: JsonObject, *, overwrite: bool) -> Parts:
        """See `cxr.screening.engines.Engine`."""
        self._fingerprint = fingerprint
        header = None if overwrite else read_header(files.parts / HEADER_FILE)
        if header is not None:
            check_same(header["fingerprint"], fingerprint, str(files.parts))
            return Parts(files.parts)
        if not overwrite:
            refuse_leftovers(files, files.journal, "local")
        parts = begin_parts(files.parts, {"fingerprint": fingerprint})
        files.journal.unlink(missing_ok=True)
        return parts

    def screened(self, log: Log, work: Work, todo: Sequence[int], watcher: Watcher) -> Iterator[Done]:
        """See `cxr.screening.engines.Engine`; a slice at a time, as they are done."""
        if not todo:
            return
        assert isinstance(log, Parts)
        shipment = ship(work, log.folder, self._fingerprint)
        first, candidates = log.next_number, work.selection.candidates
        slices = [todo[start : start + SLICE] for start in range(0, len(todo), SLICE)]
        with ray_session(self.address, available_cores()) as ray:
            rows = [
                {"part": first + number, "candidates": packed([candidates[one] for one in some])}
                for number, some in enumerate(slices)
            ]
            for row in self._rows(ray, rows, shipment):
                some = slices[int(row["part"]) - first]
                yield some, [int(place) for place in np.atleast_1d(row["places"])]
                watcher.advanced(len(some))

    def _rows(self, ray: Any, rows: list[dict[str, Any]], shipment: Shipment) -> Iterator[dict[str, Any]]:
        """Give what workers return, as they do; only numbers come back.

        Raises:
            CxrError: A worker raised it.
            DataError: Ray ended.
        """
        most = min(self.most or int(ray.cluster_resources().get("CPU", 1)), len(rows))
        data = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            Worker,
            fn_constructor_args=(shipment,),
            compute=ray.data.ActorPoolStrategy(min_size=1 if self.address else most, max_size=most),
            num_cpus=1,
        )
        try:
            yield from data.iter_rows()
        except ray.exceptions.RayError as error:
            raise told(error) from error


def told(error: BaseException) -> CxrError:
    """Return a worker's own error, wherever it is in the chain; else a sentence about the worker."""
    links: BaseException | None = error
    while links is not None:
        cause = getattr(links, "cause", None)
        for one in (links, cause):
            if isinstance(one, CxrError):
                return one
        links = links.__cause__
    first = str(error).strip().splitlines()[-1]
    return DataError(
        f"Ray ended before the files did ({first}); what was done is kept: run the same command again, or without "
        f"--engine ray"
    )
