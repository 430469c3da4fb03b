"""Read one file once: its bytes, their digest, its planes, or why there are none."""

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import FileIO
from pathlib import Path, PurePosixPath

from cxr.errors import ImageError, Reason
from cxr.formats import HEAD_BYTES, SUFFIXES, recognise
from cxr.images import ImageFacts, decode_bytes
from cxr.planes import Plane, to_plane
from cxr.screening.attributes import dicom_attributes
from cxr.screening.query import Candidate

MAX_BYTES = 1 << 30  # no radiograph has as many; reading a disk image or a film to its end would fill the memory

Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """One file after decoding.

    Attributes:
        candidate: Which file.
        stamp: Size in bytes, modification and change time in ns, inode; empty where the file cannot be opened.
        is_image: False where neither name nor content says so: such a file has no row.
        format: As recognised by content; empty where unknown.
        sha256: Of the bytes that were decoded; empty where they could not be read.
        planes: uint8 (side, side) by side; empty with an error.
        facts: None with an error.
        error: Why there are no planes.
        attributes: Values of the DICOM attributes that were asked for, in that order.
    """

    candidate: Candidate
    stamp: Stamp = ()
    is_image: bool = True
    format: str = ""
    sha256: str = ""
    planes: Mapping[int, Plane] = field(default_factory=dict)
    facts: ImageFacts | None = None
    error: ImageError | None = None
    attributes: tuple[str, ...] = ()


def read(candidate: Candidate, root: Path, sides: Sequence[int], keywords: Sequence[str] = ()) -> Reading:
    """Read and decode a candidate for networks that take planes of `sides` pixels; an ImageError becomes data."""
    claims = candidate.named or PurePosixPath(candidate.relative).suffix.lower() in SUFFIXES
    reading = Reading(candidate)
    try:
        with open_regular(root / candidate.relative) as file:
            about = os.fstat(file.fileno())
            head = file.read(HEAD_BYTES)
            reading = replace(reading, stamp=_stamp(about), format=recognise(head) or "")
            if not reading.format and not claims:
                return replace(reading, is_image=False)
            if about.st_size > MAX_BYTES:
                raise ImageError(Reason.TOO_LARGE, f"{about.st_size:,} bytes; at most {MAX_BYTES:,} are read")
            data = head + file.read()
    except OSError as error:
        return replace(reading, error=ImageError(Reason.UNREADABLE, error.strerror or str(error)))
    except MemoryError:
        return replace(reading, error=ImageError(Reason.MEMORY, "not enough memory for the file's bytes"))
    except ImageError as error:
        return replace(reading, error=error)
    reading = replace(reading, sha256=hashlib.sha256(data).hexdigest())
    try:
        return _decoded(reading, data, sides, keywords)
    except ImageError as error:
        return replace(reading, error=error, is_image=claims or error.reason is not Reason.NOT_AN_IMAGE)


def may_have_row(candidate: Candidate, root: Path) -> bool:
    """Tell from name and first bytes whether `read` would give the candidate a row; in doubt, yes.

    Only a DICOM object without pixels and without an image's name is taken for an image here, and not by `read`.
    """
    if candidate.named or PurePosixPath(candidate.relative).suffix.lower() in SUFFIXES:
        return True
    try:
        with open_regular(root / candidate.relative) as file:
            return recognise(file.read(HEAD_BYTES)) is not None
    except (OSError, ImageError):
        return True


def open_regular(path: Path) -> FileIO:
    """Open a regular file for reading, unbuffered; never waits, as opening a pipe would.

    Raises:
        ImageError: It is a pipe, a socket, a device or a folder.
        OSError: It cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ImageError(Reason.UNREADABLE, "neither a file nor a link to one")
    return FileIO(handle, "rb")


def stamp_of(path: Path) -> Stamp:
    """Return what tells a file from one that replaced it, without reading it; empty where there is none."""
    try:
        return _stamp(path.stat())
    except OSError:
        return ()


def _stamp(about: os.stat_result) -> Stamp:
    return about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino


def _decoded(reading: Reading, data: bytes, sides: Sequence[int], keywords: Sequence[str]) -> Reading:
    """Decode for each side by itself: a large JPEG's reduced scale, and so its plane, depends on the side."""
    planes: dict[int, Plane] = {}
    facts = None
    for side in dict.fromkeys(sides):
        luminance, found = decode_bytes(data, side)
        planes[side] = to_plane(luminance, side)
        facts = facts or found
    attributes = dicom_attributes(data, keywords) if keywords else ()
    return replace(reading, planes=planes, facts=facts, attributes=attributes)
