"""Compute for many pictures at once, by name; where that fails, one bad picture costs one result."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from cxr.errors import ModelError, Reason
from cxr.planes import Plane

MEMORY_WORDS = ("bad_alloc", "out of memory", "not enough memory", "cannot allocate", "failed to allocate")
Failure = tuple[Reason, str]
Result = TypeVar("Result")


def attempted(
    planes: Mapping[str, Plane],
    compute: Callable[[Mapping[str, Plane]], Sequence[Result]],
) -> dict[str, Result | Failure]:
    """Compute for planes by name; where that fails on several together, each is tried alone.

    Args:
        planes: uint8 (side, side) each.
        compute: Gives a result for each plane, in their order.

    Returns:
        For each name the result, or why there is none.

    Raises:
        ModelError: As `compute` does: the network is not what its description says.
    """
    if not planes:
        return {}
    try:
        results = compute(planes)
    except ModelError:
        raise
    except Exception as error:  # a runtime raises anything; only the picture that causes it may lose its result
        text = str(error) or type(error).__name__
        if len(planes) == 1:
            return dict.fromkeys(planes, (Reason.MEMORY if _is_memory(error) else Reason.NETWORK, text))
        alone = (attempted(dict([one]), compute) for one in planes.items())
        return {name: result for one in alone for name, result in one.items()}
    return dict(zip(planes, results, strict=True))


def _is_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in MEMORY_WORDS)
