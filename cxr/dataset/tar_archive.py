"""Unpack a tar, packed or not, by the rules of `cxr.dataset.archive`."""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from cxr.dataset.archive import CHUNK, Limits, Names, write_member
from cxr.errors import DataError
from cxr.progress import Track


class _Watched:
    """A packed stream that stops when far more comes out than went in."""

    def __init__(self, stream: IO[bytes], packed: IO[bytes], name: str, limits: Limits) -> None:
        self._stream, self._packed, self._name, self._limits = stream, packed, name, limits
        self._unpacked = 0

    def read(self, size: int) -> bytes:
        """Return up to `size` unpacked bytes; raises DataError past the ratio."""
        data = self._stream.read(size)
        self._unpacked += len(data)
        self._limits.check_ratio(self._name, self._unpacked, self._packed.tell())
        return data


def unpack_tar(archive: Path, into: Path, limits: Limits, track: Track) -> None:
    """Unpack `archive` into the existing folder `into`, in one pass; see `cxr.dataset.archive.unpack`."""
    with _damage_named(archive), archive.open("rb") as packed, _unpacked(packed) as stream:
        watched = cast("IO[bytes]", _Watched(stream, packed, archive.name, limits))
        with tarfile.open(fileobj=watched, mode="r|") as tar:
            names, written = Names(), 0
            for count, member in enumerate(track(tar, "unpacking", None), start=1):
                limits.check_members(count)
                limits.check_total(written + member.size)
                written = _unpack_member(tar, member, names, into, written, limits)
            _require_end(tar)


@contextmanager
def _damage_named(archive: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, gzip.BadGzipFile) as error:
        raise DataError(f"{archive} is a damaged tar ({error}); download it again") from error
    except OSError as error:
        if error.errno is not None:  # the disk's fault, not the archive's
            raise
        raise DataError(f"{archive} is a damaged tar ({error}); download it again") from error


@contextmanager
def _unpacked(packed: IO[bytes]) -> Iterator[IO[bytes]]:
    head = packed.read(6)
    packed.seek(0)
    if head.startswith(b"\x1f\x8b"):
        with gzip.GzipFile(fileobj=packed) as stream:
            yield cast("IO[bytes]", stream)
    elif head.startswith(b"BZh"):
        with bz2.BZ2File(packed) as stream_bz2:
            yield stream_bz2
    elif head.startswith(b"\xfd7zXZ"):
        with lzma.LZMAFile(packed) as stream_xz:
            yield stream_xz
    else:
        yield packed


def _unpack_member(
    tar: tarfile.TarFile, member: tarfile.TarInfo, names: Names, into: Path, written: int, limits: Limits
) -> int:
    if not (member.isdir() or member.isreg()) or member.issparse():
        raise DataError(
            f"The archive member {member.name} is a link, a device or a sparse file, not a plain file; "
            "nothing was imported"
        )
    path = names.add(member.name, member.isdir())
    # The library's own checks, on top of ours, which suffice: Python has them from 3.11.4 on.
    if hasattr(tarfile, "data_filter"):
        tarfile.data_filter(member, str(into))
    if member.isdir():
        (into / path).mkdir(parents=True, exist_ok=True)
        return written
    source = tar.extractfile(member)
    assert source is not None  # only links and folders have none
    return write_member(source, into / path, written, limits)


def _require_end(tar: tarfile.TarFile) -> None:
    """Refuse a tar that stops early: `tarfile` takes a cut or garbled header for the end and says nothing."""
    rest = 0
    assert tar.fileobj is not None
    while chunk := tar.fileobj.read(CHUNK):
        if chunk.strip(b"\0"):
            raise tarfile.ReadError("a member's header is garbled")
        rest += len(chunk)
    if not rest:
        raise tarfile.ReadError("it ends before its end mark")
