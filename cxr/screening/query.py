"""What a run is about: the inputs, how to search them, and what was found."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cxr.errors import UsageError
from cxr.screening.candidates import Candidates

# Why a folder was not searched.
LINK, HIDDEN, EXCLUDED, UNREADABLE, NOT_RECURSIVE = "link", "hidden", "excluded", "unreadable", "not_recursive"


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for.

    Attributes:
        inputs: Folders and files, as given; each must exist.
        listed: Files and folders from a list; one that is absent becomes a file that cannot be read.
        recursive: Whether folders in folders are searched.
        include: Patterns of `fnmatch`, case-sensitive, `*` crosses `/`, of which a file's relative path or name must
            match one; none means every file.
        exclude: Patterns of which a file's or folder's relative path or name must match none.
        own: Real paths of files that the run itself writes: neither screened nor counted.
    """

    inputs: Sequence[Path]
    listed: Sequence[Path] = ()
    recursive: bool = True
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    own: frozenset[str] = frozenset()


@dataclass(slots=True)
class Found:
    """What lies below the inputs.

    Attributes:
        candidates: Sorted by cell, each file once.
        hidden: Number of files whose name starts with a dot.
        excluded: Number of files that --include or --exclude leave aside.
        special: Cells of pipes, sockets and devices.
        folders: Cells of folders that were not searched, with the reason.
    """

    candidates: Candidates = field(default_factory=Candidates)
    hidden: int = 0
    excluded: int = 0
    special: list[str] = field(default_factory=list)
    folders: list[tuple[str, str]] = field(default_factory=list)


def common_root(paths: Sequence[Path]) -> Path:
    """Return the folder that relative paths start from: the only folder given, else the deepest that holds all.

    Raises:
        UsageError: There is no such folder, as with two Windows drives.
    """
    folders = [os.path.abspath(path if path.is_dir() else path.parent) for path in paths]  # noqa: PTH100  keeps links
    try:
        return Path(os.path.commonpath(folders))
    except ValueError as error:
        raise UsageError("the inputs have no folder in common; screen them in separate runs") from error


def read_names(data: bytes) -> Iterator[str]:
    """Give the names of a list: separated by NUL where it has one (`find -print0`), else one a line."""
    separator = b"\0" if b"\0" in data else b"\n"
    for item in data.split(separator):
        name = item if separator == b"\0" else item.removesuffix(b"\r")
        if name:
            yield os.fsdecode(name)
