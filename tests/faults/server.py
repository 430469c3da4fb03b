"""Runs console scripts, each in a fork of this process, which has loaded what they load; `tests.faults` starts it."""

import json
import os
import signal
import sys
from importlib import import_module

LOADED = (
    "PIL.Image",
    "cxr.cli.batch_run",
    "cxr.cli.data",
    "cxr.dataset.audits",
    "cxr.dataset.prepare",
    "cxr.ingest.importer",
    "cxr.screening.explain",
    "cxr.screening.gallery",
    "cxr.screening.run",
    "filelock",
    "pyarrow.parquet",
)


def serve() -> dict[str, object]:
    """Answer with exit statuses until the input ends; return the request in the fork that is to do it."""
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            return request
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()
    sys.exit()


def begin(request: dict[str, object]) -> None:
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(f"{request['logs']}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.chdir(request["cwd"])
    signal.alarm(100)  # a run that hangs ends
    sys.argv = ["command", *request["arguments"]]
    os.environ.update(request["variables"])


for name in LOADED:
    import_module(name)
from cxr.inference.network import openvino_module  # noqa: E402

openvino_module()
request = serve()
module, _, function = request["command"].partition(":")
begin(request)
getattr(import_module(module), function)()
