"""What several rooms' tests share."""

import pytest

from cxr.core.process import pin_instructions

# As trainings limit themselves: one limit for this process and for those that it starts, whichever test comes first.
# What a processor gives with other instructions, tests/core/test_process.py tries in processes of its own.
pin_instructions("avx2")


@pytest.fixture(scope="session")
def pinned_tensorflow():
    """Pin threads and seeds before the first operation of the process; afterwards TensorFlow refuses to."""
    from cxr.core.params import RuntimeParams
    from cxr.training.devices import make_reproducible

    runtime = RuntimeParams(intra_op_threads=2, deterministic=True)
    make_reproducible(runtime, seed=3)
    return runtime


def pytest_collection_modifyitems(items):
    """Begin with the file that runs whole pipelines: it takes longest, and no other process can help with it."""
    items.sort(key=lambda item: item.path.name != "test_stages.py")
