"""List every file below the inputs, named once, in one order; and what was left aside."""

import os
import stat
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from cxr.errors import UsageError
from cxr.screening.names import Naming
from cxr.screening.query import EXCLUDED, HIDDEN, LINK, NOT_RECURSIVE, UNREADABLE, Candidate, Found, Query


def discover(query: Query, naming: Naming) -> Found:
    """List the files below the inputs; a link to a file counts as a file, a link to a folder is not entered."""
    walk = _Walk(query, naming)
    paths = [(walk.relative(path), path.is_dir()) for path in (*query.inputs, *query.listed)]
    for relative, is_folder in paths:
        if not is_folder:  # first, so that a file that was named counts as named wherever else it is found
            walk.take_file(relative, named=True)
    for relative, is_folder in paths:
        if is_folder:
            walk.take_folder(relative)
    found = walk.found
    found.candidates = [walk.taken[cell] for cell in sorted(walk.taken)]
    found.special.sort()
    found.folders.sort()
    return found


class _Walk:
    def __init__(self, query: Query, naming: Naming) -> None:
        self.query, self.naming, self.found = query, naming, Found()
        self.taken: dict[str, Candidate] = {}
        self.searched: set[str] = set()
        self.own_names = {Path(path).name for path in query.own}

    def relative(self, path: Path) -> str:
        absolute = os.path.abspath(path)  # noqa: PTH100  resolve() would follow links out of the root
        relative = os.path.relpath(absolute, self.naming.root).replace(os.sep, "/")
        if relative == ".." or relative.startswith("../"):
            raise UsageError(f"{path} is not below {self.naming.root}, which paths are relative to; see --root")
        return "" if relative == "." else relative

    def take_folder(self, relative: str) -> None:
        waiting = [relative]
        while waiting:
            below = waiting.pop()
            if below in self.searched:  # inputs may overlap
                continue
            self.searched.add(below)
            try:
                with os.scandir(self.naming.root / below) as entries:
                    for entry in entries:
                        waiting += self._take_entry(entry, f"{below}/{entry.name}" if below else entry.name)
            except OSError:
                self.found.folders.append((self.naming.cell(below or "."), UNREADABLE))

    def take_file(self, relative: str, *, named: bool) -> None:
        path = str(self.naming.root / relative)
        cell = self.naming.cell(relative)
        if cell in self.taken or self._is_own(path):
            return
        if relative.rpartition("/")[2].startswith(".") and not named:
            self.found.hidden += 1
        elif self._left_out(relative):
            self.found.excluded += 1
        elif _is_special(path):
            self.found.special.append(cell)
        else:
            self.taken[cell] = Candidate(cell, cell if cell == relative else relative, named)

    def _take_entry(self, entry: "os.DirEntry[str]", relative: str) -> Iterable[str]:
        if not _is_folder(entry):
            self.take_file(relative, named=False)
            return ()
        why = self._why_not(entry, relative)
        if why:
            self.found.folders.append((self.naming.cell(relative), why))
            return ()
        return (relative,)

    def _why_not(self, entry: "os.DirEntry[str]", relative: str) -> str:
        if entry.name.startswith("."):
            return HIDDEN
        if _matches(relative, self.query.exclude):
            return EXCLUDED
        if entry.is_symlink():
            return LINK
        return "" if self.query.recursive else NOT_RECURSIVE

    def _is_own(self, path: str) -> bool:
        return Path(path).name in self.own_names and os.path.realpath(path) in self.query.own

    def _left_out(self, relative: str) -> bool:
        included = not self.query.include or _matches(relative, self.query.include)
        return not included or _matches(relative, self.query.exclude)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere: opening it will say so in its row
        return False


def _is_special(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except OSError:
        return False
    return not stat.S_ISREG(mode)


def _matches(relative: str, patterns: Sequence[str]) -> bool:
    name = relative.rpartition("/")[2]
    return any(fnmatchcase(relative, pattern) or fnmatchcase(name, pattern) for pattern in patterns)
