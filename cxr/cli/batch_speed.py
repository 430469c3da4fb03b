"""The command line of `cxr-batch`, continued: what no answer depends on."""

from typing import Annotated, Any

import typer

from cxr.cli.batch_words import EngineName


def _speed(*names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel="Speed; answers do not depend on it", **more)


Engine = Annotated[EngineName, _speed(help="Who screens: this machine, or workers of Ray on one machine or many.")]
Address = Annotated[
    str | None, _speed(metavar="ADDR", help="Cluster of --engine ray, such as auto. [default: one of its own, here]")
]
Processes = Annotated[
    int,
    _speed(
        min=0,
        max=1024,
        help="Processes that read and compute side by side; 0: one a core for folders on Linux, where neither "
        "--workers nor --threads is given.",
    ),
]
Workers = Annotated[
    int,
    _speed(
        min=0,
        max=4096,
        help="Reading threads of one process; 0: one a core, or eight for addresses. Of --engine ray, workers at "
        "most; 0: all cores.",
    ),
]
BatchSize = Annotated[
    int, _speed(min=0, max=1024, help="Files taken together; 0: eight for each thread of the network.")
]
Threads = Annotated[
    int, _speed(min=0, max=1024, help="Threads of the network in one process; 0: by its cost beside that of decoding.")
]
