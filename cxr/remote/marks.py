"""What a listing says of a file, in one short text: bytes, a space, and what tells it from one that replaced it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cxr.screening.store import Stamp

# By the filesystems that give them: S3 and HTTP; Azure; Google; DVC; Git; zip; HDFS and others.
CHECKSUMS = ("ETag", "etag", "content_md5", "md5Hash", "crc32c", "md5", "Content-MD5", "sha", "CRC", "checksum")
TIMES = ("LastModified", "last_modified", "Last-Modified", "updated", "modified", "mtime", "created")


def mark_of(info: Mapping[str, Any]) -> str:
    """Return the mark of a file: `""` where nothing is known, `1234 ` where nothing but its size is."""
    size = info.get("size")
    info = {**info, **dict((info.get("fs_info") or {}).items())} if "repo" in info else info  # Git's, inside DVC's
    told = next((str(info[key]) for key in CHECKSUMS if info.get(key) not in (None, "")), "")
    told = told or next((_time(info[key]) for key in TIMES if info.get(key)), "")
    return f"{'' if size is None else int(size)} {told.strip().strip(chr(34))}"


def size_of(mark: str) -> int | None:
    """Return the size in bytes, None where unknown."""
    size = mark.partition(" ")[0]
    return int(size) if size else None


def stamp_of(mark: str) -> Stamp:
    """Return the stamp of a mark; empty where only the size is known, which tells no file from another."""
    size, _, told = mark.partition(" ")
    return (int(size) if size else -1, told) if told else ()


def _time(value: object) -> str:
    if isinstance(value, float):  # seconds since 1970, where another call of the same filesystem gives a datetime
        value = datetime.fromtimestamp(value, UTC)
    return value.isoformat() if isinstance(value, datetime) else str(value)
