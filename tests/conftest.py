"""What several rooms' tests share."""

import pytest


@pytest.fixture(scope="session")
def pinned_tensorflow():
    """Pin threads and seeds before the first operation of the process; afterwards TensorFlow refuses to."""
    from cxr.core.params import RuntimeParams
    from cxr.training.devices import make_reproducible

    runtime = RuntimeParams(intra_op_threads=2, deterministic=True)
    make_reproducible(runtime, seed=3)
    return runtime
