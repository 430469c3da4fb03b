"""When `cxr-batch` does everything in one process."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cxr.cli.batch_words import EngineName, Talk

if TYPE_CHECKING:
    from cxr.cli.batch_options import Options

CAN_FORK = sys.platform == "linux"  # on macOS the system's own libraries do not survive it


def alone_because(options: "Options") -> str:
    """Return why one process must do it; empty where several can."""
    for one, name in (
        (options.engine is EngineName.RAY, "--engine ray, whose workers are processes"),
        (options.to_stdout, "-o -, where rows come in order"),
        (options.addresses, "addresses, which are waited for"),
        (options.talk is Talk.VERBOSE, "--verbose"),
        (not all(isinstance(model, Path) for model in options.models), "networks of a revision"),
        (not CAN_FORK, "this system; Linux alone can"),
    ):
        if one:
            return name
    return ""
