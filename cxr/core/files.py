"""Write files whole or not at all, with equal bytes for equal content; and how progress is followed."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from cxr.core.records import as_json

JsonObject = dict[str, Any]


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends well, remove it otherwise.

    The rename is atomic on one file system, so readers see the old file or the new one, never half of either.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        with named_errors(path):
            yield temporary
            # mkstemp makes files private; outputs get the permissions any new file would have.
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Put `path` into an OSError that names no file: what fails at writing, rather than at opening, knows none."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def require_room(path: Path, size: int) -> None:
    """Raise the OSError of a full disk now, for a writer that cannot: HDF5 prints traces, OpenVINO says no reason.

    Args:
        path: The file about to be written.
        size: Of it in bytes, not too low.
    """
    with named_errors(path), tempfile.TemporaryFile(dir=path.parent) as file:
        file.write(bytes(size))
        file.flush()


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with line feeds as line ends, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: object) -> None:
    """Write a record or a mapping as indented JSON in its own order, ending in a newline; NaN is refused (ValueError).

    See `cxr.core.records.as_json`.
    """
    write_text(path, json.dumps(as_json(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> JsonObject:
    """Read a JSON object; raises OSError or ValueError as `json` does."""
    value: JsonObject = json.loads(path.read_text(encoding="utf-8"))
    return value


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of the file's bytes, 64 lower-case hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


T = TypeVar("T")


class Track(Protocol):
    """Wraps the items of a long loop; the caller decides what is shown while they pass."""

    def __call__(self, items: Iterable[T], label: str, total: int | None) -> Iterable[T]:
        """Return `items` unchanged and in order; `total` is their number where it is known before."""
        ...


def untracked(items: Iterable[T], label: str, total: int | None) -> Iterable[T]:  # noqa: ARG001 - the protocol's
    """Return `items`, showing nothing."""
    return items
