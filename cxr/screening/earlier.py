"""Rows of an earlier table that still hold, because their files are the same."""

from collections.abc import Iterator, Sequence

from cxr.errors import DataError
from cxr.files import JsonObject
from cxr.screening.candidates import Candidate
from cxr.screening.changes import Changes
from cxr.screening.described import Described
from cxr.screening.fingerprint import check_same
from cxr.screening.local import store_of
from cxr.screening.partitions import digest_of
from cxr.screening.store import Root


def check_earlier(earlier: Described, fingerprint: JsonObject, commit: str) -> None:
    """Refuse an earlier table whose rows must not stand beside new ones.

    Raises:
        ResumeError: It was made with something else; says with what.
        DataError: It is not of that revision, or not what its manifest describes.
    """
    path = earlier.path
    check_same(earlier.manifest["fingerprint"], fingerprint, str(path), "leave out --earlier, and screen every file")
    made_at = (earlier.manifest["request"].get("dvc") or {}).get("commit")
    if made_at != commit:
        raise DataError(
            f"{path} was made at {made_at or 'no revision of DVC'}, --changed-since is {commit}; name that revision "
            "there, or the table of this one"
        )
    if digest_of(path) != earlier.manifest["results"]["sha256"]:
        raise DataError(f"{path} is not what its manifest describes; run cxr-verify on it")


def kept_records(
    earlier: Described, changes: Changes, candidates: Sequence[Candidate], root: Root
) -> Iterator[JsonObject]:
    """Give the journal's records of unchanged files, from the rows of the earlier table."""
    store = store_of(root)
    no_image = set(earlier.manifest["aside"]["not_an_image"])
    rows = earlier.rows()
    row = next(rows, None)
    for candidate in candidates:
        while row is not None and row["path"] < candidate.cell:
            row = next(rows, None)
        if candidate.cell not in changes.unchanged:
            continue
        record: JsonObject = {"path": candidate.cell, "stamp": store.stamp(candidate)}
        if row is not None and row["path"] == candidate.cell:
            yield record | {"cells": list(row.values())[1:]}
        elif candidate.cell in no_image:
            yield record
