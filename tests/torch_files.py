"""Files in PyTorch's first format, written without PyTorch; and drawn weights of EfficientNet-Lite0 in one."""

import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from unittest import mock

import numpy as np

from cxr.models.pretrained import MAGIC, PROTOCOL, PUBLISHED, PublishedWeights, md5_of

# Repeats, kernel, expansion, filters before and after: a second hand's copy of the published table.
BLOCKS = ((1, 3, 1, 32, 16), (2, 3, 6, 16, 24), (2, 5, 6, 24, 40), (3, 3, 6, 40, 80), (3, 5, 6, 80, 112),
          (4, 5, 6, 112, 192), (1, 3, 6, 192, 320))  # fmt: skip


class FloatStorage:
    dtype = np.float32


class LongStorage:
    dtype = np.int64


class DoubleStorage:
    dtype = np.float64


def _rebuild_tensor_v2(*_):
    raise AssertionError("only its name is written")


class Storage:
    def __init__(self, elements):
        self.elements = elements
        self.kind = {np.float32: FloatStorage, np.int64: LongStorage, np.float64: DoubleStorage}[elements.dtype.type]


class Tensor:
    """A view of a storage; pickled as PyTorch's are."""

    def __init__(self, storage, offset, size, strides):
        self.parts = (storage, offset, tuple(size), tuple(strides), False, OrderedDict())
        self.storage = storage

    def __reduce__(self):
        return _rebuild_tensor_v2, self.parts


def tensor(array, order="C", offset=0):
    """Lay an array into a storage of its own, row by row or ("F") column by column, behind `offset` other elements."""
    array = np.asarray(array, order=order)
    elements = np.concatenate([np.full(offset, 7, array.dtype), array.ravel(order="K")])
    return Tensor(Storage(elements), offset, array.shape, [step // array.itemsize for step in array.strides])


class _Pickler(pickle.Pickler):
    def persistent_id(self, value):
        if isinstance(value, Storage):
            return ("storage", value.kind, str(id(value)), "cpu", len(value.elements), None)
        return None


def write_torch(path: Path, tensors, magic=MAGIC, protocol=PROTOCOL) -> Path:
    """Write tensors by name; other objects are pickled as they are."""
    storages = list({id(one.storage): one.storage for one in tensors.values() if isinstance(one, Tensor)}.values())
    modules = {"torch": ModuleType("torch"), "torch._utils": ModuleType("torch._utils")}
    for kind in (FloatStorage, LongStorage, DoubleStorage):
        setattr(modules["torch"], kind.__name__, kind)
        kind.__module__ = "torch"
    modules["torch._utils"]._rebuild_tensor_v2 = _rebuild_tensor_v2
    _rebuild_tensor_v2.__module__ = "torch._utils"
    sizes = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    with path.open("wb") as file, mock.patch.dict(sys.modules, modules):
        for part in (magic, protocol, sizes, OrderedDict(tensors), [str(id(one)) for one in storages]):
            _Pickler(file, 2).dump(part)
        for one in storages:
            file.write(len(one.elements).to_bytes(8, "little", signed=True) + one.elements.tobytes())
    return path


def lite0_shapes():
    """Return the shapes of the published file's tensors by name, PyTorch's order of axes."""
    shapes = {"_conv_stem.weight": (32, 3, 3, 3), **_norm("_bn0", 32)}
    number = 0
    for repeats, size, expansion, first, filters in BLOCKS:
        for repeat in range(repeats):
            before, block = filters if repeat else first, f"_blocks.{number}."
            inner = before * expansion
            if expansion > 1:
                shapes |= {f"{block}_expand_conv.weight": (inner, before, 1, 1), **_norm(f"{block}_bn0", inner)}
            shapes |= {f"{block}_depthwise_conv.weight": (inner, 1, size, size), **_norm(f"{block}_bn1", inner)}
            shapes |= {f"{block}_project_conv.weight": (filters, inner, 1, 1), **_norm(f"{block}_bn2", filters)}
            number += 1
    shapes |= {"_conv_head.weight": (1280, 320, 1, 1), **_norm("_bn1", 1280)}
    return shapes | {"_fc.weight": (1000, 1280), "_fc.bias": (1000,)}


def _norm(name, channels):
    found = dict.fromkeys((f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var")), (channels,))
    return found | {f"{name}.num_batches_tracked": ()}


def draw_lite0():
    """Draw weights that keep the signal, and statistics that differ from those a layer begins with."""
    random, found = np.random.default_rng(2), {}
    for name, shape in lite0_shapes().items():
        if name.endswith("num_batches_tracked"):
            found[name] = np.array(9, np.int64)
        elif len(shape) == 1:
            low, high = {"weight": (0.8, 1.2), "running_var": (1.5, 3.0)}.get(name.rpartition(".")[2], (-0.1, 0.1))
            found[name] = random.uniform(low, high, shape).astype(np.float32)
        else:
            found[name] = (random.normal(0, 1, shape) * (2 / np.prod(shape[1:])) ** 0.5).astype(np.float32)
    return found


def draw_published_lite0(folder: Path) -> tuple[PublishedWeights, dict[str, np.ndarray]]:
    """Write drawn weights into `folder`, stem by columns; return what to patch PUBLISHED with, and them."""
    drawn = draw_lite0()
    stored = {name: tensor(array, "F" if name == "_conv_stem.weight" else "C") for name, array in drawn.items()}
    path = write_torch(folder / PUBLISHED["lite0"].filename, stored)
    return PublishedWeights(path.name, "", md5_of(path)), drawn
