"""Everything a training's bytes depend on besides params, data and code: seeds, threads, order of operations."""

import os
import platform
from importlib.metadata import version

import numpy as np

from cxr.models.tf import keras, tf
from cxr.params import RuntimeParams
from cxr.processor import instructions
from cxr.training.devices import choose_devices, devices_in_use


def make_reproducible(runtime: RuntimeParams, seed: int) -> None:
    """Seed Python, NumPy and TensorFlow, pin the threads, and forbid operations that depend on thread order.

    To be called before the first TensorFlow operation of the process: afterwards threads cannot be pinned.
    Equal bytes are promised for the same wheels on the same class of processor, no more; `environment` has what counts.

    Raises:
        ParamsError: `runtime` asks for a GPU that is not there.
    """
    choose_devices(runtime)
    tf.config.threading.set_intra_op_parallelism_threads(runtime.intra_op_threads)
    # One operation at a time: with several, their order would vary, and small networks gain nothing.
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(seed)
    if runtime.deterministic:
        tf.config.experimental.enable_op_determinism()


def environment() -> dict[str, str]:
    """Return the versions and the kind of machine that a training runs with; equal on two machines of one class.

    To be called after `make_reproducible`, which chooses the devices.
    """
    return {
        # Without the patch level: it chooses no wheel and turns no bit.
        "python": ".".join(platform.python_version_tuple()[:2]),
        "machine": platform.machine(),
        "instructions": instructions() + (" without onednn" if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0" else ""),
        "devices": devices_in_use(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "openvino": version("openvino"),
        "numpy": np.__version__,
    }
