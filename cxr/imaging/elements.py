"""Elements of a DICOM object as numbers: what is empty is as absent, and text where a number belongs is refused."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cxr.core.errors import ImageError, Reason

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# Decimal and Integer Strings (PS3.5, 6.2), and what numbers of other representations read like.
DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
LONGEST_QUOTE = 40  # characters: a value of 16 is quoted whole, a page of them is not


def text(dataset: "Dataset", keyword: str) -> str:
    """Return the first value of an element as text without outer spaces; empty where it is absent or empty."""
    value = dataset.get(keyword)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        value = value[0] if len(value) else None
    if isinstance(value, bytes):  # of another value representation than the element has
        value = value.decode("latin-1")
    return "" if value is None else str(value).strip(" \0")


def number(dataset: "Dataset", keyword: str) -> float | None:
    """Return the first value of an element; None where it is absent or empty.

    Raises:
        ImageError: It is no finite number; the detail quotes it.
    """
    found = text(dataset, keyword)
    if not found:
        return None
    value = float(found) if DECIMAL.fullmatch(found) else np.nan
    if not np.isfinite(value):
        raise ImageError(Reason.UNSUPPORTED, f"{keyword} is {found[:LONGEST_QUOTE]!r}; expected a number")
    return value


def integer(dataset: "Dataset", keyword: str, default: int | None = None) -> int:
    """Return the first value of an element, or `default` where it is absent or empty.

    Raises:
        ImageError: It is no integer, or absent and there is no default.
    """
    value = number(dataset, keyword)
    if value is None:
        if default is None:
            raise ImageError(Reason.UNREADABLE, f"{keyword} is absent or empty")
        return default
    if not value.is_integer():
        raise ImageError(Reason.UNSUPPORTED, f"{keyword} is {value:g}; expected an integer")
    return int(value)


def first_item(dataset: "Dataset", keyword: str, *elements: str) -> "Dataset | None":
    """Return the first item of a sequence; None where it has none, or none of `elements`."""
    sequence: Any = dataset.get(keyword)
    if not sequence or not hasattr(sequence[0], "get"):
        return None
    item: Dataset = sequence[0]
    return item if any(element in item and not item[element].is_empty for element in elements) else None
