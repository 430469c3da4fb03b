"""`cxr-batch` in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path


def start(
    scans: Path | str,
    output: Path,
    *more: str,
    before: Callable[[], None] | None = None,
    variables: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-c",
        "from cxr.cli.batch import script; script()",
        str(scans),
        "-o",
        str(output),
        "-q",
        *more,
    ]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=before, env=os.environ | (variables or {})
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, stderr = process.communicate(timeout=300)
    return process.returncode, stderr
