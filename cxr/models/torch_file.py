"""Read tensors of a file of PyTorch's first format, without PyTorch and without running what a pickle may ask for.

The file is five pickles (a magic number, the protocol, the writer's sizes, the tensors by name, the storages in order),
then each storage: its number of elements as int64, and their bytes, little-endian. A tensor is a view of a storage:
offset, size and strides in elements. The format that PyTorch writes since 1.6 is a zip archive, and is refused.
"""

import pickle
import sys
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr.errors import WeightsError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}
COUNT_BYTES = 8
# What Python documents that damaged pickles raise, and what those of other objects do.
PICKLE_FAULTS = (
    pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, KeyError, TypeError, ValueError,
    OverflowError, MemoryError, RecursionError,
)  # fmt: skip

Tensor = NDArray[Any]  # float32 or int64


class _Storage(NamedTuple):
    key: str
    kind: str
    length: int


class _View(NamedTuple):
    storage: _Storage
    offset: int
    size: tuple[int, ...]
    strides: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    """Makes ordered dicts and views of storages, and refuses every other name, so that no code of a file is run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, strides, *_: _View(storage, offset, size, strides)
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in TYPES:
            return TYPES[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, reference: Any) -> _Storage:
        what, kind, key, _place, count, view = reference
        if what != "storage" or view is not None or kind not in TYPES.values():
            raise pickle.UnpicklingError("it has something else than storages beside it")
        return _Storage(str(key), kind, int(count))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name, float32 or int64, each in rows of its own memory.

    Raises:
        WeightsError: The file is damaged, ends early or goes on, or is none of this format, or asks for more than
            tensors of these two types.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        try:
            if _Unpickler(file).load() != MAGIC or _Unpickler(file).load() != PROTOCOL:
                raise pickle.UnpicklingError("its first words are others")
            _Unpickler(file).load()  # of the writer's machine
            views, keys = _views(_Unpickler(file).load()), _Unpickler(file).load()
            storages = _storages(file, keys, {view.storage.key: view.storage for view in views.values()})
            return {name: _tensor(view, storages) for name, view in views.items()}
        except PICKLE_FAULTS as error:
            raise WeightsError(
                f"{path} cannot be read as tensors of float32 and int64 in PyTorch's first format "
                f"({str(error) or type(error).__name__}): it is damaged or another kind of file"
            ) from error


def _views(found: Any) -> Mapping[str, _View]:
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise pickle.UnpicklingError("it holds something else than tensors by name")
    if not all(isinstance(view, _View) and isinstance(view.storage, _Storage) for view in found.values()):
        raise pickle.UnpicklingError("it holds something else than tensors by name")
    return found


def _storages(file: IO[bytes], keys: Any, expected: Mapping[str, _Storage]) -> dict[str, Tensor]:
    """Read all storages, in the order of `keys`; each must have the length that the tensors know, and end the file."""
    if sorted(keys) != sorted(expected):
        raise pickle.UnpicklingError("its storages are not those of its tensors")
    found: dict[str, Tensor] = {}
    for key in keys:
        one, count = expected[key], file.read(COUNT_BYTES)
        if len(count) < COUNT_BYTES or int.from_bytes(count, "little", signed=True) != one.length:
            raise pickle.UnpicklingError("a storage has another length than is said")
        found[key] = _elements(file, one)
    if file.read(1):
        raise pickle.UnpicklingError("it goes on after the last storage")
    return found


def _elements(file: IO[bytes], storage: _Storage) -> Tensor:
    kind, start = np.dtype(storage.kind), file.tell()
    left = file.seek(0, 2) - file.seek(start)  # asked first: a wrong number must not fill the memory
    if not 0 <= storage.length * kind.itemsize <= left:
        raise pickle.UnpicklingError("it ends within a storage")
    elements: Tensor = np.frombuffer(file.read(storage.length * kind.itemsize), kind)
    return elements


def _tensor(view: _View, storages: Mapping[str, Tensor]) -> Tensor:
    """Copy a view, once it is sure that it lies within its storage: strides that do not would read other memory."""
    offset, size, strides = view.offset, view.size, view.strides
    elements = storages[view.storage.key]
    if len(size) != len(strides) or not all(
        type(n) is int and 0 <= n <= sys.maxsize for n in (offset, *size, *strides)
    ):
        raise pickle.UnpicklingError("a tensor has a shape that is none")
    last = offset + sum((n - 1) * stride for n, stride in zip(size, strides, strict=True))
    many = np.prod(size, dtype=object) > len(elements)
    if many or (0 not in size and last >= len(elements)):
        raise pickle.UnpicklingError("a tensor lies outside of its storage")
    steps = [stride * elements.itemsize for stride in strides]
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(elements[offset:], size, steps)).reshape(size)
