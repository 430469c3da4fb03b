"""Everything a training's bytes depend on besides params, data and code: seeds, threads, order of operations."""

import os
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version

import numpy as np

from cxr.models.tf import keras, tf
from cxr.params import RuntimeParams
from cxr.training.devices import choose_devices, devices_in_use

# From the oldest on; as far as it decides how float32 numbers are added, and no finer.
INSTRUCTIONS = ("sse", "avx", "avx2", "avx512")
# As NumPy names them, from 2.4 on and before. TensorFlow's wheels need avx.
FOUND_BY_NUMPY = {"X86_V4": "avx512", "AVX512_SKX": "avx512", "X86_V3": "avx2", "AVX2": "avx2", "X86_V2": "avx"}
# What the values of oneDNN's environment variable begin with; the first that fits counts.
ONEDNN_LIMITS = {"AVX512": "avx512", "AVX10": "avx512", "AVX2": "avx2", "AVX": "avx", "SSE": "sse"}


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
        "instructions": instructions(_simd_extensions(), os.environ),
        "devices": devices_in_use(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "openvino": version("openvino"),
        "numpy": np.__version__,
    }


def instructions(simd: Iterable[str], variables: Mapping[str, str]) -> str:
    """Return the newest of INSTRUCTIONS that float32 kernels use, or the machine's own name where it has none of them.

    Args:
        simd: Names of what the processor has, as NumPy spells them.
        variables: Environment variables; oneDNN's own limit and switch count.
    """
    present = {FOUND_BY_NUMPY[name] for name in simd if name in FOUND_BY_NUMPY}
    if not present:
        return platform.machine()
    limit = variables.get("ONEDNN_MAX_CPU_ISA", "").upper()
    allowed = next((level for start, level in ONEDNN_LIMITS.items() if limit.startswith(start)), INSTRUCTIONS[-1])
    level = min(max(present, key=INSTRUCTIONS.index), allowed, key=INSTRUCTIONS.index)
    return f"{level} without onednn" if variables.get("TF_ENABLE_ONEDNN_OPTS") == "0" else level


def _simd_extensions() -> list[str]:
    extensions = np.show_config(mode="dicts")["SIMD Extensions"]
    return [*extensions.get("baseline", []), *extensions.get("found", [])]  # NumPy leaves empty lists out
