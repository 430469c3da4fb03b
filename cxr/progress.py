"""How library code lets a caller watch long loops without knowing about terminals."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Track(Protocol):
    """Wraps the items of a long loop; the caller decides what is shown while they pass."""

    def __call__(self, items: Iterable[T], label: str, total: int | None) -> Iterable[T]:
        """Return `items` unchanged and in order; `total` is their number where it is known before."""
        ...


def untracked(items: Iterable[T], label: str, total: int | None) -> Iterable[T]:  # noqa: ARG001 - the protocol's
    """Return `items`, showing nothing."""
    return items
