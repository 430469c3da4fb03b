"""Who screens, as `cxr-batch` was asked."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cxr.cli.batch_alone import alone_because
from cxr.cli.batch_options import Options
from cxr.cli.batch_words import EngineName
from cxr.processor import available_cores
from cxr.screening.engines import Engine, LocalEngine
from cxr.screening.store import Root

if TYPE_CHECKING:
    from cxr.screening.candidates import Candidate
    from cxr.screening.crew import Crew

LEAST = 128  # files for a process to be worth its start: it brings a tenth of a millisecond for each


def check_engine(options: Options) -> None:
    """Raise UsageError where Ray is asked for and is not installed."""
    if options.engine is EngineName.RAY:
        from cxr.cluster.session import ray_module

        ray_module()


@contextmanager
def crew_of(options: Options, root: Root, candidates: "Sequence[Candidate]") -> "Iterator[Crew | None]":
    """Give the processes that help with a run, if it is to have any; at the end they are dismissed.

    They are forked here: before a network is loaded, which starts threads.
    """
    helpers = _processes(options, root, len(candidates)) - 1
    if helpers < 1:
        yield None
        return
    from PIL import Image

    from cxr.model_folder import packaged_folder
    from cxr.network import openvino_module
    from cxr.screening.crew import Crew
    from cxr.screening.duty import load_all

    openvino_module()  # shared, so that each need not load it; and Pillow's decoders
    Image.preinit()
    gc.freeze()
    folders = [model for model in options.models if isinstance(model, Path)] or [packaged_folder()]
    crew = Crew(helpers, candidates, partial(load_all, folders))
    try:
        yield crew
    finally:
        crew.dismiss()


def engine_of(options: Options, crew: "Crew | None") -> Engine:
    """Return the engine of a run."""
    if options.engine is EngineName.LOCAL:
        return LocalEngine(crew)
    from cxr.cluster.engine import RayEngine

    return RayEngine(options.address, options.workers)


def reading_threads(options: Options) -> int:
    """Return how many threads of this process read, 0 for its own choice: of Ray, --workers are processes."""
    return options.workers if options.engine is EngineName.LOCAL else 0


def _processes(options: Options, root: Root, files: int) -> int:
    """Return how many screen side by side."""
    if alone_because(options) or options.workers or options.threads or not isinstance(root, Path):
        return 1
    return options.processes or min(available_cores(), files // LEAST)
