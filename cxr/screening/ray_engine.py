"""`--engine ray`: slices of the files go to a pool of workers, and each comes back as a part beside the results."""

import logging
import os
import pickle
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cxr import __version__
from cxr.core.errors import CxrError, DataError, OutputError, UsageError
from cxr.core.files import guarded, remove
from cxr.core.process import available_cores
from cxr.core.records import as_json
from cxr.imaging.decode import suspected
from cxr.inference.model_folder import ScreeningModel
from cxr.screening.candidates import Candidate
from cxr.screening.engine import Done, Log, ProgressListener, Run
from cxr.screening.journal import (
    HEADER_FILE,
    NETWORKS,
    TRIES,
    Fingerprint,
    Parts,
    begin_parts,
    check_same,
    decoder,
    read_fingerprint,
    refuse_leftovers,
    write_part,
)
from cxr.screening.predict import record_of, screen
from cxr.screening.read import IN_TURN, ReadOptions
from cxr.screening.schema import Schema
from cxr.screening.storage import Root
from cxr.screening.tables import OutputFiles
from cxr.screening.workers import at_points, load_all

MISSING = "--engine ray needs the extra 'ray': pip install '.[ray]'"
KNOCK_SECONDS = 10
OBJECTS = 256 << 20  # bytes of shared memory of a Ray of our own: what goes through it are names and numbers
SILENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing about a user's files leaves the machine
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # it calls the way in which Ray Data starts its workers an error
}


def ray_module() -> Any:
    """Import Ray, which says nothing and reports nothing. Raises UsageError where it is not installed."""
    for name, value in SILENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UsageError(MISSING) from error
    return ray


@contextmanager
def ray_session(address: str | None, cores: int) -> Iterator[Any]:
    """Give Ray, connected; what was started here ends with the block.

    Args:
        address: Of a cluster, as Ray takes it; None: one on this machine alone.
        cores: Of this machine that a Ray of our own may use.

    Raises:
        UsageError: Ray is not installed.
        DataError: There is no cluster at the address, or Ray does not start.
    """
    ray = ray_module()
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    with tempfile.TemporaryDirectory(prefix="cxr-ray-", ignore_cleanup_errors=True) as own:
        # In a folder of its own: its sockets and logs, which name files, go when it ends.
        here = {"num_cpus": cores, "object_store_memory": OBJECTS, "include_dashboard": False, "_temp_dir": own}
        try:
            if address:
                _knock(address)
            with _silence():
                ray.init(address or "local", **({} if address else here), **quiet)
        except Exception as error:  # it raises bare ones, as where a busy machine keeps it waiting
            where = address or "this machine"
            raise DataError(f"Ray at {where} cannot be reached: {str(error).splitlines()[0]}") from error
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        try:
            yield ray
        finally:
            ray.shutdown()


def _knock(address: str) -> None:
    """Find out whether anybody listens at `host:port`, for which Ray would wait for minutes. Raises OSError."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()


@contextmanager
def _silence() -> Iterator[None]:
    """Keep from stderr what Ray's own code writes there while it starts: how it was told to write nothing more."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


@dataclass(frozen=True, slots=True)
class WorkerPayload:
    """A run, as a worker sees it.

    Attributes:
        points: The operating point in force of each; empty without decisions.
        root: Where the pictures lie; a store opens connections of its own.
        reading: How they are read.
        schema: Of the table.
        parts: Folder of parts, which every worker must see.
        fingerprint: That of the run, where it began.
    """

    points: Sequence[str]
    root: Root
    reading: ReadOptions
    schema: Schema
    parts: Path
    fingerprint: Fingerprint

    def check_here(self) -> None:
        """Find out whether this machine would give the same rows, and sees the folder of parts.

        Raises:
            ResumeError: Another version of the tool or of the decoder is installed here.
            DataError: The folder is not there.
        """
        here = as_json(replace(self.fingerprint, tool=__version__, decoder=decoder()))
        check_same(here, self.fingerprint, "the worker's run", "install the same versions on every node")
        if not self.parts.is_dir():
            raise DataError(
                f"a worker cannot see {self.parts}; with --engine ray, the results must lie in a folder that every "
                f"node has at the same path, such as a network share"
            )

    def models(self) -> list[ScreeningModel]:
        """Load the networks. Raises ModelError where one cannot be loaded."""
        folders = [self.parts / NETWORKS / str(number) for number in range(len(self.points))]
        return at_points(load_all(folders), self.points)


def worker_payload(work: Run, parts: Path, fingerprint: Fingerprint) -> WorkerPayload:
    """Copy the networks of a run to where its workers find them, and return the rest of what they need.

    Raises:
        OutputError: They cannot be copied.
    """
    try:
        for number, model in enumerate(work.models):
            shutil.copytree(model.folder, parts / NETWORKS / str(number), dirs_exist_ok=True)
    except OSError as error:  # of copytree: a list of pairs and reasons
        raise OutputError(f"cannot write {parts}: the networks cannot be copied there ({error})") from error
    models = work.models
    return WorkerPayload(
        points=[model.operating_point for model in models],
        root=work.request.naming.root,
        reading=work.reading,
        schema=work.schema,
        parts=parts,
        fingerprint=fingerprint,
    )


Slice = dict[str, Any]  # a row of Ray Data
MOST_TRIES = 4  # of a slice: Ray gives it to another worker where one dies, and a file may kill every one


class Worker:
    """Screens slices; Ray makes one in each process, and another one in place of one that died."""

    def __init__(self, payload: WorkerPayload) -> None:
        """Load the networks.

        Raises:
            DataError, ResumeError, ModelError: This machine cannot do what the one that began the run would.
        """
        payload.check_here()
        self._payload, self._models = payload, payload.models()

    def __call__(self, row: Slice) -> Slice:
        """Screen a slice and write its part.

        Args:
            row: `part`, its number; `candidates`, pickled.

        Returns:
            `part`, and `places`, the position of each file's record, in the order of the candidates. A slice that was
            done before, by a worker that died, gives the same part again; its files are decoded in a child.

        Raises:
            DataError: Every worker that had the slice died.
        """
        payload, number, candidates = self._payload, int(row["part"]), _whole(row["candidates"])
        tries = payload.parts / f"{number:08d}{TRIES}"
        with guarded(tries), tries.open("ab") as file:
            file.write(b".")
        begun = tries.stat().st_size
        if begun > MOST_TRIES:
            raise DataError(
                f"{MOST_TRIES} workers died one after the other while they screened {candidates[0].cell} to "
                f"{candidates[-1].cell}; screen these without --engine ray to see which file it is"
            )
        batches = screen(candidates, payload.root, self._models, self._readers, payload.reading)
        with suspected(begun > 1):
            records = [record_of(outcome, payload.schema) for outcomes in batches for outcome in outcomes]
        places = write_part(payload.parts, number, records)
        remove(tries)
        return {"part": number, "places": places}

    @property
    def _readers(self) -> int:
        """A worker is a core, so files of a folder are read between the batches; those at an address are waited for."""
        return IN_TURN if isinstance(self._payload.root, Path) else 0


def packed(candidates: list[Candidate]) -> bytes:
    """Return candidates as `Worker` takes them."""
    return pickle.dumps([(one.cell, one.relative, one.named, one.mark) for one in candidates])


def _whole(packed: bytes) -> list[Candidate]:
    return [Candidate(*one) for one in pickle.loads(packed)]


CHUNK = 256  # files: what is lost where a worker dies, and what a part has


@dataclass(slots=True)
class RayEngine:
    """An `Engine` of Ray.

    Attributes:
        address: Of a cluster, as Ray takes it; None: one on this machine alone.
        most: Workers at most; 0: one for each core.
    """

    address: str | None = None
    most: int = 0
    _fingerprint: Fingerprint | None = None

    def opened(self, files: OutputFiles, fingerprint: Fingerprint, *, overwrite: bool) -> Parts:
        """See `cxr.screening.engine.Engine`."""
        self._fingerprint = fingerprint
        begun = None if overwrite else read_fingerprint(files.parts / HEADER_FILE)
        if begun is not None:
            check_same(begun, fingerprint, str(files.parts))
            return Parts(files.parts)
        if not overwrite:
            refuse_leftovers(files, files.journal, "local")
        parts = begin_parts(files.parts, fingerprint)
        remove(files.journal)
        return parts

    def screened(self, log: Log, work: Run, todo: Sequence[int], listener: ProgressListener) -> Iterator[Done]:
        """See `cxr.screening.engine.Engine`; a slice at a time, as they are done."""
        if not todo:
            return
        assert isinstance(log, Parts)
        assert self._fingerprint is not None, "opened before"
        payload = worker_payload(work, log.folder, self._fingerprint)
        first, candidates = log.next_number, work.selection.candidates
        slices = [todo[start : start + CHUNK] for start in range(0, len(todo), CHUNK)]
        with ray_session(self.address, available_cores()) as ray:
            rows = [
                {"part": first + number, "candidates": packed([candidates[one] for one in some])}
                for number, some in enumerate(slices)
            ]
            for row in self._rows(ray, rows, payload):
                some = slices[int(row["part"]) - first]
                yield some, [int(place) for place in np.atleast_1d(row["places"])]
                listener.advanced(len(some))

    def _rows(self, ray: Any, rows: list[Slice], payload: WorkerPayload) -> Iterator[Slice]:
        """Give what workers return, as they do; only numbers come back.

        Raises:
            CxrError: A worker raised it.
            DataError: Ray ended.
        """
        most = min(self.most or int(ray.cluster_resources().get("CPU", 1)), len(rows))
        data = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            Worker,
            fn_constructor_args=(payload,),
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
