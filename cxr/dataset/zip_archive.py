"""Unpack a zip by the rules of `cxr.dataset.archive`."""

import lzma
import stat
import zlib
from itertools import pairwise
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

from cxr.dataset.archive import Limits, Names, write_member
from cxr.errors import DataError
from cxr.progress import Track

ENCRYPTED_BITS = 0x1 | 0x40  # classic and strong encryption in the general purpose flags
DAMAGE = (BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, OSError)


def unpack_zip(archive: Path, into: Path, limits: Limits, track: Track) -> None:
    """Unpack `archive` into the existing folder `into`; see `cxr.dataset.archive.unpack`."""
    try:
        file = ZipFile(archive)
    except (BadZipFile, ValueError) as error:
        raise DataError(f"{archive} is a damaged zip ({error}); download it again") from error
    with file:
        members = file.infolist()
        _check_headers(members, limits)
        names, written = Names(), 0
        paths = [names.add(member.orig_filename, member.is_dir()) for member in members]
        for member, path in track(zip(members, paths, strict=True), "unpacking", len(members)):
            if member.is_dir():
                (into / path).mkdir(parents=True, exist_ok=True)
            else:
                written = _unpack_member(file, member, into / path, written, limits)


def _check_headers(members: list[ZipInfo], limits: Limits) -> None:
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
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(
            f"The archive member {member.filename} is a link or a device, not a plain file; nothing was imported"
        )


def _unpack_member(file: ZipFile, member: ZipInfo, target: Path, written: int, limits: Limits) -> int:
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
