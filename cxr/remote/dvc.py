"""Revisions of a DVC repository: their pictures and models, whether they were ever checked out or not."""

import atexit
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from cxr.core.errors import ModelError, UsageError
from cxr.core.files import whole_file
from cxr.remote.filesystem import RetryPolicy, hush, missing
from cxr.remote.store import FsspecStore, given_at, store_at
from cxr.screening.paths import cleaned
from cxr.screening.storage import GitRevision, Listed, Provenance, Revisions

HEAD = "HEAD"


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision of a repository.

    Attributes:
        fs: DVC's filesystem of it: what Git and what DVC keep, in one tree.
        repo: URL or path of the repository, without credentials.
        rev: As it was asked for: a branch, tag, commit or experiment.
        commit: What that is.
    """

    fs: Any
    repo: str
    rev: str
    commit: str

    @property
    def facts(self) -> dict[str, str]:
        """For manifests."""
        return {"repo": self.repo, "rev": self.rev, "commit": self.commit}


def revision_of(repo: str | None, rev: str | None) -> Revision:
    """Open a revision; the repository of the working directory and its HEAD by default.

    Raises:
        UsageError: DVC is not installed, there is no such repository, or it has no such revision.
    """
    hush()
    try:
        from dvc.api import DVCFileSystem
    except ImportError as error:
        raise UsageError(missing("dvc", error)) from None
    _clean_at_exit()
    local = Path(repo or ".")
    shown, rev = str(local.resolve()) if local.is_dir() else cleaned(str(repo)), rev or HEAD
    try:
        fs = DVCFileSystem(repo or ".", rev=rev)
        commit = str(fs.repo.get_rev())
    except Exception as error:  # of DVC or Git; its words may hold the credentials of the URL
        kind = type(error).__name__
        what = f"has no revision {rev}" if "Rev" in kind else f"cannot be opened ({kind})"
        raise UsageError(
            f"the repository {shown} {what}; expected a Git repository with DVC at --repo, and a branch, tag, "
            "commit or experiment of it as revision"
        ) from None
    return Revision(fs, shown, rev, commit)


@cache
def _clean_at_exit() -> None:
    """Remove the clones of remote repositories, as the commands of DVC do; nobody else would."""
    from dvc.repo.open_repo import clean_repos

    atexit.register(clean_repos)


def open_revision(
    revision: Revision, addresses: Sequence[str], listed: Sequence[str] = (), seconds: float | None = None
) -> FsspecStore:
    """Return the store of `dvc://` addresses at a revision, see `cxr.remote.store.open_store`.

    Raises:
        UsageError: An address is not there at that revision.
    """
    retry = RetryPolicy("dvc://", seconds)
    given = []
    for number, address in enumerate([*addresses, *listed]):
        if not address.lower().startswith("dvc://"):
            raise UsageError(f"{cleaned(address)} is not of DVC, as others are; screen it in a run of its own")
        path = f"/{address.partition('://')[2].strip('/')}"
        shown = f"{address} at {revision.rev} of {revision.repo}"
        given.append(given_at(revision.fs, path, shown, retry, of_list=number >= len(addresses)))
    store = store_at(revision.fs, "dvc://", given, retry)
    md5 = {one.path.strip("/"): _md5(revision.fs, one.path) for one in given[: len(addresses)]}
    git = GitRevision(revision.commit, changed=False)
    return replace(store, known=Revisions(git, {**revision.facts, "md5": md5}))


def at_revision(store: FsspecStore, revision: Revision) -> FsspecStore:
    """Return what `store` has at another revision of its repository; what was not there yet is left out."""
    named = []
    for one in store.named:
        try:
            info = revision.fs.info(store.path_of(one.relative))
        except FileNotFoundError:
            continue
        named.append(Listed(one.relative, info["type"] == "directory", one.mark))
    nothing = [Listed("\0", is_folder=False)]
    return replace(store, fs=revision.fs, named=named or nothing, known=Revisions(dvc=revision.facts))


def fetch_model(revision: Revision, path: str, kept: Path) -> tuple[Path, Provenance]:
    """Copy the folder of a network at a revision to the folder `kept`; say where, and what it is.

    Raises:
        ModelError: There is no such folder, or a file of it is neither in DVC's cache nor in its remote.
    """
    import hashlib

    where = f"{path} at {revision.rev} of {revision.repo}"
    digest = hashlib.sha256(f"{revision.repo}\0{revision.commit}\0{path}".encode()).hexdigest()[:16]
    folder = kept / digest / Path(path).name
    try:
        entries = [one for one in revision.fs.ls(f"/{path.strip('/')}", detail=True) if one["type"] == "file"]
        for entry in entries:
            with revision.fs.open(entry["name"], "rb") as file, whole_file(folder / Path(entry["name"]).name) as copy:
                copy.write_bytes(file.read())
    except FileNotFoundError as error:
        raise ModelError(
            f"the model {where} is not there, or its files are neither in DVC's cache nor in its remote; expected a "
            "folder that DVC or Git keeps, such as models/screening; see 'dvc push'"
        ) from error
    except Exception as error:
        raise ModelError(f"the model {where} cannot be read ({type(error).__name__})") from None
    whole = _md5(revision.fs, f"/{path.strip('/')}")
    md5: str | Mapping[str, str | None] = whole or {Path(one["name"]).name: one.get("md5") for one in entries}
    return folder, {**revision.facts, "path": path, "md5": md5}


def _md5(fs: Any, path: str) -> str | None:
    try:
        return fs.info(path).get("md5")  # type: ignore[no-any-return]
    except FileNotFoundError:
        return None
