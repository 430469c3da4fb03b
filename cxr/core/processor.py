"""The processor: how many cores there are to use, and which instructions decide how float32 numbers are added."""

import os
import platform
from collections.abc import Iterable, Mapping

# From the oldest on; as far as it decides how float32 numbers are added, and no finer.
INSTRUCTIONS = ("sse", "avx", "avx2", "avx512")
# As NumPy names them, from 2.4 on and before. TensorFlow's wheels need avx.
FOUND_BY_NUMPY = {"X86_V4": "avx512", "AVX512_SKX": "avx512", "X86_V3": "avx2", "AVX2": "avx2", "X86_V2": "avx"}
# What the values of oneDNN's environment variable, which OpenVINO follows too, begin with; the first that fits counts.
ONEDNN_LIMITS = {"AVX512": "avx512", "AVX10": "avx512", "AVX2": "avx2", "AVX": "avx", "SSE": "sse"}


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def instructions() -> str:
    """Return the class of this processor: two of one class give equal bytes with the same wheels."""
    return instructions_of(_simd_extensions(), os.environ)


def instructions_of(simd: Iterable[str], variables: Mapping[str, str]) -> str:
    """Return the newest of INSTRUCTIONS that float32 kernels use, or the machine's own name where it has none of them.

    Args:
        simd: Names of what the processor has, as NumPy spells them.
        variables: Environment variables; oneDNN's own limit counts.
    """
    present = {FOUND_BY_NUMPY[name] for name in simd if name in FOUND_BY_NUMPY}
    if not present:
        return platform.machine()
    limit = variables.get("ONEDNN_MAX_CPU_ISA", "").upper()
    allowed = next((level for start, level in ONEDNN_LIMITS.items() if limit.startswith(start)), INSTRUCTIONS[-1])
    return min(max(present, key=INSTRUCTIONS.index), allowed, key=INSTRUCTIONS.index)


def _simd_extensions() -> list[str]:
    import numpy as np  # here, so that --help does without

    extensions = np.show_config(mode="dicts")["SIMD Extensions"]
    return [*extensions.get("baseline", []), *extensions.get("found", [])]  # NumPy leaves empty lists out
