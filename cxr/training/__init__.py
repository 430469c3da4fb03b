"""The only fit loop, transfer learning, reproducible saving, and export of the screening network.

Importing it is how TensorFlow enters a process: with its C++ log quietened, which cannot be done afterwards.
"""

import logging
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


def _import_tensorflow_quietly() -> None:
    # TensorFlow writes to file descriptor 2 before it has read its own log level; an ImportError still gets through.
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        import tensorflow  # noqa: F401
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


_import_tensorflow_quietly()
