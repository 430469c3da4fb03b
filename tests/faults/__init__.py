"""Commands on file systems that fail: the shim `fault.c`, and the server that runs commands under it."""

import errno
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Fault:
    """The `nth` of a call fails with `number`; a negative one: that and all after it."""

    call: str
    number: int
    nth: int = 0

    def __str__(self) -> str:
        return f"{self.call}:{errno.errorcode[self.number]}:{self.nth}"


NEVER = 1 << 60
NO_FAULT = Fault("", 0)


@dataclass(frozen=True)
class Ended:
    """How a command ended, and how many of the calls it made."""

    status: int
    stdout: str
    stderr: str
    calls: int


def build_shim(folder: Path) -> Path:
    """Compile the shim, or skip the test that needs it."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("file systems that fail are imitated with a C compiler on Linux, and there is none here")
    library = folder / "fault.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "fault.c", "-ldl"], check=True)
    return library


class Server:
    """A process that runs commands of the package under the shim."""

    def __init__(self, shim: Path, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-c", "import tests.faults.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"LD_PRELOAD": str(shim), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def run(self, command: str, arguments: Sequence[object], below: Path, fault: Fault = NO_FAULT) -> Ended:
        """Run `command` (module:function); the fault is for paths that begin with `below`."""
        count = self._folder / "count"
        count.write_bytes(bytes(8))
        variables = {
            "FAULT": f"{fault.call}:{fault.number}:{fault.nth}",
            "FAULT_PATH": str(below),
            "FAULT_COUNT": str(count),
        }
        request = {
            "command": command,
            "arguments": [str(one) for one in arguments],
            "variables": variables,
            "logs": str(self._folder),
            "cwd": str(self._folder),
        }
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        said = [(self._folder / name).read_text() for name in ("stdout", "stderr")]
        return Ended(status, *said, *struct.unpack("q", count.read_bytes()))

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """Give a running server; skips where there is no compiler."""
    one = Server(build_shim(folder), folder)
    try:
        yield one
    finally:
        one.close()
