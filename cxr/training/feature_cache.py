"""Arrays that take long to compute, kept by the digest of all they follow from; where anything is wrong, made again.

No result depends on the cache. It is outside Git and DVC, and may be deleted at any time.
"""

import hashlib
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr.files import whole_file

Features = NDArray[np.float32]
DIGEST_BYTES = 32


def cached(folder: Path | None, key: str, compute: Callable[[], Features]) -> Features:
    """Return what `compute` returns, from `folder` if it was kept there, else computed and kept.

    A file is an array as NumPy saves it, followed by the SHA-256 of key and array: one that was altered, cut short or
    renamed is computed again, and so is one that cannot be read. Where nothing can be written, a line on stderr says
    so. Two processes may share the folder.

    Args:
        folder: Is made; None keeps nothing.
        key: Hexadecimal digest of all that the array follows from.
        compute: Called without a usable file, once.
    """
    if folder is None:
        return compute()
    path = folder / f"{key}.npy"
    kept = _read(path, key)
    if kept is not None:
        return kept
    features = compute()
    _write(path, key, features)
    return features


def _read(path: Path, key: str) -> Features | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _say(f"{path} cannot be read ({error.strerror}); its features are computed again")
        return None
    array, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    if _digest(key, array) != digest:
        _say(f"{path} was altered or cut short; its features are computed again")
        return None
    return np.asarray(np.load(BytesIO(array), allow_pickle=False), np.float32)


def _write(path: Path, key: str, features: Features) -> None:
    buffer = BytesIO()
    np.save(buffer, features, allow_pickle=False)
    try:
        with whole_file(path) as temporary:
            temporary.write_bytes(buffer.getvalue() + _digest(key, buffer.getvalue()))
    except OSError as error:
        _say(f"{path} cannot be written ({error.strerror}); the next training computes the features again")


def _digest(key: str, array: bytes) -> bytes:
    return hashlib.sha256(key.encode() + array).digest()


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
