"""Who screens, as `cxr-batch` was asked."""

from cxr.cli.batch_options import Options
from cxr.cli.batch_words import EngineName
from cxr.screening.engines import Engine, LocalEngine


def engine_of(options: Options) -> Engine:
    """Return the engine of a run. Raises UsageError where Ray is asked for and is not installed."""
    if options.engine is EngineName.LOCAL:
        return LocalEngine()
    from cxr.cluster.engine import RayEngine
    from cxr.cluster.session import ray_module

    ray_module()
    return RayEngine(options.address, options.workers)


def reading_threads(options: Options) -> int:
    """Return how many threads of this process read, 0 for its own choice: of Ray, --workers are processes."""
    return options.workers if options.engine is EngineName.LOCAL else 0
