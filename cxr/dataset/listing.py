"""List what lies in a folder of somebody else's: junk aside, links and odd things refused."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cxr.errors import DataError

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
