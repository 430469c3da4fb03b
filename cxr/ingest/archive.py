"""Unpack archives that strangers made: nothing outside the folder, no links, no bombs, whole or refused."""

import bz2
import gzip
import lzma
import re
import stat
import struct
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import IO, cast
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, BadZipFile, ZipFile, ZipInfo, is_zipfile

from cxr.core.errors import DataError
from cxr.core.files import Track, guarded, make_folder, untracked


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may become.

    Attributes:
        total_bytes: Unpacked size of all members together.
        members: Number of members, folders included.
        ratio: Unpacked over packed size of one member (of the whole stream, for a packed tar).
        ratio_from_bytes: Unpacked size from which `ratio` counts; a small blank picture packs well.
    """

    total_bytes: int = 20_000_000_000
    members: int = 200_000
    ratio: int = 200
    ratio_from_bytes: int = 10_000_000

    def check_total(self, count: int) -> None:
        """Refuse `count` unpacked bytes (DataError) when they are too many."""
        if count > self.total_bytes:
            raise DataError(
                f"The archive unpacks to more than {self.total_bytes / 1e9:g} GB; if that is what you expect, "
                "raise --max-gigabytes"
            )

    def check_members(self, count: int) -> None:
        """Refuse `count` members (DataError) when they are too many."""
        if count > self.members:
            raise DataError(f"The archive has more than {self.members:,} members; unpack it and import the folder")

    def check_ratio(self, name: str, unpacked: int, packed: int) -> None:
        """Refuse (DataError) `unpacked` bytes that came from far too few `packed` ones."""
        if unpacked > self.ratio_from_bytes and unpacked > self.ratio * max(packed, 1):
            raise DataError(
                f"{name} unpacks to more than {self.ratio} times its packed size, as archives made to fill disks do; "
                "nothing was imported. If you trust it, unpack it yourself and import the folder"
            )


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
    """Unpack `archive` into the existing folder `into`, in one pass; see `cxr.ingest.archive.unpack`."""
    with _damage_named(archive), archive.open("rb") as packed, _unpacked(packed) as stream:
        watched = cast("IO[bytes]", _Watched(stream, packed, archive.name, limits))
        with tarfile.open(fileobj=watched, mode="r|") as tar:
            names, written = Names(), 0
            for count, member in enumerate(track(tar, "unpacking", None), start=1):
                limits.check_members(count)
                limits.check_total(written + member.size)
                written = _unpack_tar_member(tar, member, names, into, written, limits)
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


class Names:
    """The member names of one archive, each made safe and met only once."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._folders: set[str] = set()

    def add(self, name: str, is_folder: bool) -> PurePosixPath:
        """Return the path of a member inside the target folder.

        Raises:
            DataError: The path leaves the folder, or another member has it already, letter case aside.
        """
        path = safe_path(name)
        key = str(path).casefold()
        parents = {str(parent).casefold() for parent in path.parents}
        clash = self._files.get(key) or next((self._files[p] for p in parents if p in self._files), None)
        if not is_folder and clash is None and key in self._folders:
            clash = f"the folder {path}"
        if clash is not None:
            raise DataError(f"The archive has both {clash!r} and {name!r}, which one disk may not hold; repack it")
        self._folders |= parents | ({key} if is_folder else set())
        if not is_folder:
            self._files[key] = name
        return path


def _unpack_tar_member(
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
        make_folder(into / path)
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


ENCRYPTED_BITS = 0x1 | 0x40  # classic and strong encryption in the general purpose flags
DAMAGE = (BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, OSError)
METHODS = frozenset({ZIP_STORED, ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA})
# Of the others, those that people's archives have (APPNOTE.TXT of PKWARE, 4.4.5).
UNREAD_METHODS = {9: "Deflate64, as Windows does for large files", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
_END = struct.Struct("<4s2H")  # end of central directory: mark, number of this part, part where the directory begins
_END_MARK = b"PK\5\6"
_END_BYTES, _LONGEST_COMMENT = 22, 0xFFFF
_FIRST_PART = b"PK\7\x08PK\3\4"


def unpack_zip(archive: Path, into: Path, limits: Limits, track: Track) -> None:
    """Unpack `archive` into the existing folder `into`; see `cxr.ingest.archive.unpack`."""
    if _is_last_part(archive):
        raise _one_part(archive)
    try:
        file = ZipFile(archive)
    except (BadZipFile, NotImplementedError, ValueError) as error:
        raise DataError(f"{archive} is a damaged zip ({error}); download it again") from error
    with file:
        members = file.infolist()
        _check_headers(members, limits)
        names, written = Names(), 0
        paths = [names.add(member.orig_filename, _is_folder(member)) for member in members]
        for member, path in track(zip(members, paths, strict=True), "unpacking", len(members)):
            if _is_folder(member):
                make_folder(into / path)
            else:
                written = _unpack_zip_member(file, member, into / path, written, limits)


def _is_folder(member: ZipInfo) -> bool:
    """Tell a folder's entry, which old programs of Windows end with a backslash."""
    return member.orig_filename.endswith(("/", "\\"))


def _is_last_part(archive: Path) -> bool:
    """Tell the last one of a zip in several files, which alone has a directory."""
    with archive.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - _END_BYTES - _LONGEST_COMMENT))
        tail = file.read()
    at = tail.rfind(_END_MARK)
    _, number, first = _END.unpack_from(tail, at) if 0 <= at <= len(tail) - _END.size else (b"", 0, 0)
    return bool({number, first} - {0, 0xFFFF})  # all ones stand for a number in the record of zip64


def _one_part(archive: Path) -> DataError:
    return DataError(
        f"{archive} is one part of a zip in several files; put all parts into one folder, unpack the one that ends in "
        ".zip there, for example with 7-Zip, and import the folder"
    )


def _check_headers(members: list[ZipInfo], limits: Limits) -> None:
    if not members:
        raise DataError("The zip is empty; give the downloaded archive or the unpacked folder")
    limits.check_members(len(members))
    limits.check_total(sum(member.file_size for member in members))
    for member in members:
        _check_kind(member)
        limits.check_ratio(member.filename, member.file_size, member.compress_size)
    ordered = sorted(members, key=lambda member: member.header_offset)
    for first, second in pairwise(ordered):
        # Members that share packed bytes are how a small zip unpacks to petabytes.
        if first.header_offset + first.compress_size > second.header_offset:
            raise DataError(f"The zip is malformed: {first.filename} and {second.filename} overlap; download it again")


def _check_kind(member: ZipInfo) -> None:
    if member.flag_bits & ENCRYPTED_BITS:
        raise DataError(f"The zip is encrypted ({member.filename}); unpack it with its password, import the folder")
    if member.compress_type not in METHODS:
        how = UNREAD_METHODS.get(member.compress_type, f"method {member.compress_type}")
        raise DataError(
            f"The zip is not damaged, but packed in a way that is not read: {member.filename} with {how}. Unpack it, "
            "in Windows with 'Extract All', elsewhere with 7-Zip, and import the folder"
        )
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(
            f"The archive member {member.filename} is a link or a device, not a plain file; nothing was imported"
        )


def _unpack_zip_member(file: ZipFile, member: ZipInfo, target: Path, written: int, limits: Limits) -> int:
    try:
        with file.open(member) as source:
            return write_member(source, target, written, limits)
    except OSError as error:
        if error.errno is not None:  # the disk's fault, not the archive's
            raise
        raise DataError(_damaged(member, error)) from error
    except DAMAGE as error:
        raise DataError(_damaged(member, error)) from error


def _damaged(member: ZipInfo, error: Exception) -> str:
    return f"The zip is damaged at {member.filename} ({error}); download it again"


JUNK = frozenset({"__macosx", "thumbs.db", "desktop.ini"})  # left by macOS and Windows; hidden names are junk too


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything below a folder.

    Attributes:
        root: The folder.
        files: Regular files relative to `root`, sorted; junk left out.
        folders: Folders relative to `root`, sorted, `.` for the root itself first.
    """

    root: Path
    files: tuple[PurePosixPath, ...]
    folders: tuple[PurePosixPath, ...]


def is_junk(relative: PurePosixPath) -> bool:
    """Tell whether a file is, or lies in, something that the operating system left: hidden, `__MACOSX`, `Thumbs.db`."""
    return any(part.startswith(".") or part.lower() in JUNK for part in relative.parts)


def is_unprintable(name: str) -> bool:
    """Tell whether a name holds control characters or bytes that are not UTF-8, which no table could write down."""
    return any(ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) <= 0xDFFF for char in name)


def list_folder(root: Path) -> Listing:
    """List `root` to any depth.

    Raises:
        DataError: Something below `root` is a symbolic link, a device, a pipe, or has an unprintable name.
    """
    files: list[PurePosixPath] = []
    folders: list[PurePosixPath] = []
    waiting = [PurePosixPath()]
    while waiting:
        folder = waiting.pop()
        folders.append(folder)
        for relative, is_folder in _children(root, folder):
            (waiting if is_folder else files).append(relative)
    return Listing(root, tuple(sorted(files)), tuple(sorted(folders)))


def _children(root: Path, folder: PurePosixPath) -> Iterator[tuple[PurePosixPath, bool]]:
    for path in (root / folder).iterdir():
        relative = folder / path.name
        if is_junk(PurePosixPath(path.name)):
            continue
        _refuse_odd(path, relative)
        yield relative, path.is_dir()


def _refuse_odd(path: Path, relative: PurePosixPath) -> None:
    if is_unprintable(path.name):
        raise DataError(f"The name {str(relative)!r} has unprintable characters; rename the file and import again")
    if path.is_symlink():
        raise DataError(
            f"{relative} is a symbolic link, which is not followed; put the file itself in its place, "
            "for example with: cp -rL FOLDER COPY"
        )
    if not path.is_dir() and not path.is_file():
        raise DataError(f"{relative} is neither a file nor a folder; remove it and import again")


SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
CHUNK = 1 << 20
TAR_MAGIC = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")


def safe_path(name: str) -> PurePosixPath:
    """Return a member's name as a path that stays inside whatever folder it is joined to.

    Raises:
        DataError: The name is absolute, has a drive letter, `..` or unprintable characters, or is empty.
    """
    slashed = name.replace("\\", "/")
    path = PurePosixPath(slashed)
    if slashed.startswith("/") or re.match(r"[A-Za-z]:", slashed) or ".." in path.parts or is_unprintable(name):
        raise DataError(
            f"The archive member {name!r} would be written outside the folder or has an unprintable name; "
            "nothing was imported. Take the archive from its publisher"
        )
    return path


def write_member(source: IO[bytes], target: Path, written: int, limits: Limits) -> int:
    """Copy a member to the new file `target`.

    Args:
        source: The member, unpacking while it is read.
        target: Must not exist yet.
        written: Bytes that earlier members took.
        limits: Checked against the bytes really read, chunk by chunk; headers lie.

    Returns:
        `written` and the bytes of this member.
    """
    make_folder(target.parent)
    with guarded(target), target.open("xb") as file:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            limits.check_total(written)
            file.write(chunk)
    return written


def unpack(archive: Path, into: Path, limits: Limits | None = None, track: Track = untracked) -> None:
    """Unpack a zip or tar (plain, gz, bz2, xz; recognised by content) into the existing folder `into`.

    On failure, files already written stay in `into`: give a folder that is thrown away.

    Raises:
        DataError: The archive is damaged, encrypted, over a limit, or has a member that is not a plain file or folder.
    """
    with archive.open("rb") as file:
        head = file.read(262)
    # Tar first: a plain tar that ends in a workbook (which is a zip) passes for a zip.
    if head.startswith(TAR_MAGIC) or head[257:262] == b"ustar":
        unpack_tar(archive, into, limits or Limits(), track)
    elif is_zipfile(archive):
        unpack_zip(archive, into, limits or Limits(), track)
    elif head.startswith(_FIRST_PART):
        raise _one_part(archive)
    else:
        raise DataError(
            f"{archive} is neither a whole zip nor a tar. A download that broke off, or one part of several, looks "
            "like this: compare its size with the publisher's and download it again; unpack other formats yourself and "
            "import the folder"
        )
