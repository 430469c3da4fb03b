"""Which revisions the code and the data of a run have, where Git and DVC know."""

import re
import subprocess
from pathlib import Path

from cxr.files import JsonObject

_COMMIT = re.compile(r"^# branch\.oid ([0-9a-f]{40,64})$", re.MULTILINE)
_DVC_MD5 = re.compile(r"^- md5: ([0-9a-f]{32}(?:\.dir)?)$", re.MULTILINE)


def git_revision(folder: Path) -> JsonObject | None:
    """Return the commit of the work tree that `folder` lies in, and whether it has changes; None outside of one.

    `changed` is None where Git could not tell within ten seconds.
    """
    # One call says both, and takes half the time of two.
    status = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    if status is None:  # no work tree, no Git, or a status that takes too long: the commit may still be known
        commit = _git(folder, "rev-parse", "HEAD")
        return None if commit is None else {"commit": commit, "changed": None}
    found = _COMMIT.search(status)
    changed = any(not line.startswith("#") for line in status.splitlines())
    return {"commit": found[1], "changed": changed} if found else None


def dvc_revision(folder: Path) -> JsonObject | None:
    """Return the nearest `.dvc` file that tracks `folder` or a folder above it, with its checksum; None without."""
    for tracked in (folder, *folder.parents):
        beside = tracked.parent / f"{tracked.name}.dvc"
        if beside.is_file():
            found = _DVC_MD5.search(beside.read_text(encoding="utf-8", errors="replace"))
            if found:
                return {"file": beside.name, "md5": found[1]}
        if (tracked / ".git").exists():
            break
    return None


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return None
    return done.stdout.strip()
