"""Ray from the first to the last moment of a run: one of its own on this machine, or a cluster that is there."""

import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cxr.errors import DataError, UsageError

MISSING = "--engine ray needs the extra 'ray': pip install 'cxr-batch[ray]'"
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
        DataError: There is no cluster at the address.
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
        except (OSError, ValueError, RuntimeError) as error:
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
