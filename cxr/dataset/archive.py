"""Unpack archives that strangers made: nothing outside the folder, no links, no bombs, whole or refused."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO
from zipfile import is_zipfile

from cxr.dataset.listing import is_unprintable
from cxr.errors import DataError
from cxr.progress import Track, untracked

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
CHUNK = 1 << 20
TAR_MAGIC = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")


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
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
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
    from cxr.dataset.tar_archive import unpack_tar
    from cxr.dataset.zip_archive import unpack_zip

    with archive.open("rb") as file:
        head = file.read(262)
    # Tar first: a plain tar that ends in a workbook (which is a zip) passes for a zip.
    if head.startswith(TAR_MAGIC) or head[257:262] == b"ustar":
        unpack_tar(archive, into, limits or Limits(), track)
    elif is_zipfile(archive):
        unpack_zip(archive, into, limits or Limits(), track)
    else:
        raise DataError(
            f"{archive} is neither a whole zip nor a tar. A download that broke off looks like this: compare its size "
            "with the publisher's and download it again; unpack other formats yourself and import the folder"
        )
