"""Which files of a folder are to be screened, and what was left aside."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from cxr.images import SUFFIXES


@dataclass(frozen=True, slots=True)
class Discovery:
    """What lies in a folder.

    Attributes:
        images: Image files by suffix, POSIX paths relative to the folder, sorted; names that are not UTF-8 carry
            surrogate escapes, as `os.fsdecode` makes them.
        others: Number of files whose suffix is no image's.
        hidden: Number of files and folders left aside because their name starts with a dot.
        excluded: Number of files and folders left aside because a pattern matches.
        linked_folders: Number of links to folders, which are not entered.
        unreadable: One clause for each folder that could not be listed.
    """

    images: tuple[str, ...]
    others: int
    hidden: int
    excluded: int
    linked_folders: int
    unreadable: tuple[str, ...]


@dataclass(slots=True)
class _Walk:
    """A walk in progress: the folder, the patterns, and the counts so far."""

    folder: Path
    patterns: Sequence[str]
    images: list[str] = field(default_factory=list)
    others: int = 0
    hidden: int = 0
    excluded: int = 0
    linked_folders: int = 0
    unreadable: list[str] = field(default_factory=list)


def discover(folder: Path, exclude: Sequence[str] = ()) -> Discovery:
    """List the image files below `folder`; a link to a file counts as a file, a link to a folder is not entered.

    Args:
        folder: Its own name may start with a dot.
        exclude: Patterns of `fnmatch`, case-sensitive, in which `*` crosses `/`. A file is left aside when its
            relative path matches; a folder, with all that lies in it, when its relative path or its name does.
    """
    walk = _Walk(folder, exclude)
    for where, folders, files in os.walk(folder, onerror=lambda error: _note_unreadable(walk, error)):
        below = PurePosixPath(Path(where).relative_to(folder).as_posix())
        # os.walk enters what this list still holds afterwards.
        folders[:] = list(_folders_to_enter(walk, below, folders))
        for name in _visible(walk, files):
            _take_file(walk, str(below / name))
    return Discovery(
        images=tuple(sorted(walk.images)),
        others=walk.others,
        hidden=walk.hidden,
        excluded=walk.excluded,
        linked_folders=walk.linked_folders,
        unreadable=tuple(walk.unreadable),
    )


def _visible(walk: _Walk, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if name.startswith("."):
            walk.hidden += 1
        else:
            yield name


def _folders_to_enter(walk: _Walk, below: PurePosixPath, names: Iterable[str]) -> Iterator[str]:
    for name in _visible(walk, names):
        relative = str(below / name)
        if _matches(relative, walk.patterns) or _matches(name, walk.patterns):
            walk.excluded += 1
        elif (walk.folder / relative).is_symlink():
            walk.linked_folders += 1
        else:
            yield name


def _take_file(walk: _Walk, relative: str) -> None:
    if _matches(relative, walk.patterns):
        walk.excluded += 1
    elif PurePosixPath(relative).suffix.lower() in SUFFIXES:
        walk.images.append(relative)
    else:
        walk.others += 1


def _matches(text: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _note_unreadable(walk: _Walk, error: OSError) -> None:
    walk.unreadable.append(f"{error.filename}: {error.strerror}")
