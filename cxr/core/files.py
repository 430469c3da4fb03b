"""Everything that is written: whole or not at all, equal bytes for equal content; what a disk refuses, in a sentence.

What only polishes a file (its permissions, waiting for the disk, tidying up) may fail: some file systems know nothing
of it, and nothing is lost. Everything else that the system refuses is an OutputError that says what helps.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

from cxr.core.errors import OutputError
from cxr.core.records import as_json

JsonObject = dict[str, Any]

_PERMISSION = "let this user read and write there"
_CONNECTION = "see to the disk or to the connection to it"
_HELD = (
    "another program may hold it, as Excel does with an open table and a virus scanner with a new file: close it there"
)
_GONE = "it was moved or removed: put it back"
_REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "this user's share of the disk is used up: free some of it",
    errno.EFBIG: "larger files are not allowed here: raise 'ulimit -f', or give a place on another disk",
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EROFS: "the disk is read-only: give a place on another one",
    errno.EIO: _CONNECTION,
    errno.ENXIO: _CONNECTION,
    errno.ENODEV: _CONNECTION,
    errno.ENOTCONN: _CONNECTION,
    errno.ETIMEDOUT: _CONNECTION,
    errno.EHOSTDOWN: _CONNECTION,
    errno.ESTALE: "the network share has lost it: mount the share anew",
    errno.EBUSY: _HELD,
    errno.ETXTBSY: _HELD,
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EINVAL: "the disk may not take such a name: give another",
    errno.EILSEQ: "the disk does not take such a name: give another",
    errno.ENOENT: _GONE,
    errno.ENOTDIR: _GONE,
    errno.EEXIST: "something else has that name: give another",
    errno.EISDIR: "a folder has that name: give another",
    errno.EMFILE: "too many files are open: raise 'ulimit -n'",
    errno.ENFILE: "too many files are open on this machine: end other programs",
    errno.ENOMEM: "end other programs, or raise 'ulimit -v'",
    errno.EAGAIN: "end other programs, or raise 'ulimit -u'",
}
_HELD_NUMBERS = frozenset({errno.EACCES, errno.EPERM, errno.EBUSY, errno.ETXTBSY})
_WAITS = (0.1, 0.2, 0.4, 0.4)  # seconds; a scanner holds a new file for less
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})


def refused(error: OSError, path: Path | None = None, doing: str = "write", kept: str = "") -> OutputError:
    """Return the sentence about what the system refuses.

    Args:
        error: As the system gave it.
        path: What was written; None: what the error names. An error that names another file is about that one.
        doing: To `path`, as a verb.
        kept: What is not lost, as a clause.
    """
    named = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    if path is not None and (not named or named == str(path) or f".{path.name}." in named):
        where = f"cannot {doing} {path}"
    else:
        where = f"cannot read or write {named}" if named else "the system refuses to go on"
    if path is None and not named and error.errno == errno.ENOENT:
        return OutputError("the folder that the command was started in is gone; change into one that is there")
    remedy = _REMEDIES.get(error.errno or 0, _CONNECTION)
    return OutputError(
        f"{where}: {reason_of(error)}; {kept}{': ' * bool(kept)}{remedy}, then run the same command again"
    )


def reason_of(error: Exception) -> str:
    """Return what the system calls an OSError; a library's own words may name a temporary file or an address."""
    if not isinstance(error, OSError):
        return str(error)
    known = error.errno is not None and error.errno in errno.errorcode
    return os.strerror(error.errno or 0) if known else error.strerror or str(error)


START = 4096  # bytes by which a file is told from others


@contextmanager
def guarded(path: Path, doing: str = "write", kept: str = "") -> Iterator[None]:
    """Make an OutputError about `path` of an OSError in the block; see `refused`."""
    try:
        yield
    except OSError as error:
        raise refused(error, path, doing, kept) from error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends well, remove it otherwise.

    The rename is atomic on one file system, so readers see the old file or the new one, never half of either, after a
    power failure too.

    Raises:
        OutputError: The system refuses it; what was there before is still there.
    """
    make_folder(path.parent)
    with guarded(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        temporary = Path(name)
        try:
            os.close(handle)
            yield temporary
            _settle(temporary)
            move(temporary, path)
        except BaseException:
            discard(temporary)
            raise


def _settle(path: Path) -> None:
    """Give a new file its permissions, and have it on the disk before its name is."""
    umask = os.umask(0)
    os.umask(umask)
    with suppress(OSError):  # mkstemp makes files private; a share may know no permissions
        path.chmod(0o666 & ~umask)
    with path.open("rb+") as file:
        sync(file.fileno())


def sync(handle: int) -> None:
    """Wait until what was written to an open file is on the disk, where the file system can tell. Raises OSError."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def move(source: Path, target: Path) -> None:
    """Rename a file or folder, in place of another file; one that a program holds for a moment is waited for.

    Raises:
        OutputError: The system refuses it; both are as they were.
    """
    for seconds in (*_WAITS, None):
        try:
            source.replace(target)
        except OSError as error:
            if error.errno not in _HELD_NUMBERS:
                raise refused(error, target) from error
            if seconds is None:
                raise OutputError(
                    f"cannot replace {target}: {reason_of(error)}; {_HELD}, then run the same command again"
                ) from error
            time.sleep(seconds)
        else:
            return


def make_folder(path: Path) -> None:
    """Make a folder, and those around it, where it is absent. Raises OutputError."""
    with guarded(path, "make the folder"):
        path.mkdir(parents=True, exist_ok=True)


def remove(path: Path) -> None:
    """Remove a file, if it is there. Raises OutputError."""
    with guarded(path, "remove"):
        path.unlink(missing_ok=True)


def discard(path: Path) -> None:
    """Remove a file or a folder that nobody needs any more, as far as that can be done."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def copy_file(source: Path, target: Path) -> None:
    """Copy the bytes of a file; a link is copied as one. Raises OutputError."""
    try:
        shutil.copyfile(source, target, follow_symlinks=False)
    except OSError as error:
        if error.filename == str(source) and error.filename2 is None:
            raise refused(error, source, "read") from error
        raise refused(OSError(error.errno, error.strerror), target) from error  # it names the source too


@contextmanager
def scratch_folder(beside: Path | None = None) -> Iterator[Path]:
    """Give a temporary folder, next to `beside` and named like it, or where the system keeps such; gone afterwards.

    Raises:
        OutputError: It cannot be made.
    """
    try:
        folder = tempfile.TemporaryDirectory(
            dir=beside.parent if beside else None,
            prefix=f".{beside.name}." if beside else "cxr-",
            suffix=".tmp",
            ignore_cleanup_errors=True,
        )
    except OSError as error:
        if beside:
            raise refused(error, beside) from error
        raise OutputError(
            f"there is no place for temporary files ({reason_of(error)}): name a folder with TMPDIR, then run the same "
            "command again"
        ) from error
    with folder as name:
        yield Path(name)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside `path`; put it in the place of `path` and all that is there when the block ends well.

    Raises:
        OutputError: The system refuses it; what was there before is still there.
    """
    make_folder(path.parent)
    with scratch_folder(path) as scratch:
        new, old = scratch / "new", scratch / "old"
        make_folder(new)
        yield new
        if path.exists():
            move(path, old)
        try:
            move(new, path)
        except BaseException:
            if old.exists():
                move(old, path)
            raise


@contextmanager
def alone(lock: Path, busy: str) -> Iterator[None]:
    """Keep other processes out of the block; the lock of one that died is no lock.

    Where the file system has no locks, a file that names the process stands for one.

    Args:
        lock: A file for nothing else; it stays.
        busy: The sentence for whoever comes second.

    Raises:
        OutputError: Another process is in such a block, or nothing can be written.
    """
    held = _acquired(lock, busy)
    try:
        yield
    finally:
        with suppress(OSError):  # its file is closed all the same
            held.release()


def _acquired(lock: Path, busy: str) -> Any:
    from filelock import FileLock, SoftFileLock, Timeout

    marker = lock.with_name(f"{lock.name}ed")
    try:
        try:
            # Its own fallback would print a warning, and keep its marker at `lock`, which no sentence names.
            return _acquire(FileLock(lock, fallback_to_soft=False))
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return _acquire(SoftFileLock(marker))
    except Timeout as error:
        there = f"; where none is at work, on this machine or another, remove {marker}" if marker.exists() else ""
        raise OutputError(f"{busy}{there}") from error
    except OSError as error:
        raise refused(error, lock, "lock") from error


def _acquire(lock: Any) -> Any:
    lock.acquire(timeout=0)
    return lock


def require_room(path: Path, size: int) -> None:
    """Raise the OutputError of a full disk now, for a writer that cannot: HDF5 prints traces, OpenVINO says no reason.

    Args:
        path: The file about to be written.
        size: Of it in bytes, not too low.
    """
    with guarded(path), tempfile.TemporaryFile(dir=path.parent) as file:
        file.write(bytes(size))
        file.flush()


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with line feeds as line ends, whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data`, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: object) -> None:
    """Write a record or a mapping as indented JSON in its own order, ending in a newline; NaN is refused (ValueError).

    See `cxr.core.records.as_json`.
    """
    write_text(path, json.dumps(as_json(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> JsonObject:
    """Read a JSON object; raises OSError or ValueError as `json` does."""
    value: JsonObject = json.loads(path.read_text(encoding="utf-8"))
    return value


def start_of(path: Path) -> bytes:
    """Return the first bytes of a file, at most START; none of what is absent or no file. Raises OutputError."""
    if not path.is_file():
        return b""
    with guarded(path, "read"), path.open("rb") as file:
        return file.read(START)


def real(path: Path) -> Path:
    """Return a path without links; of links in a circle, of which `Path.resolve` makes an error, the first."""
    return Path(os.path.realpath(path))


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
