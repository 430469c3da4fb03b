"""List what lies below a folder: page by page where the store offers that, else folder by folder."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from cxr.remote.marks import mark_of
from cxr.remote.patience import Patience
from cxr.screening.store import Listed, Visitor

PAGE = 1000  # keys; S3 gives no more


def join(base: str, relative: str) -> str:
    """Return the path of what lies below a folder; the root of a filesystem may be `/` or nothing."""
    return f"{base}{'' if not base or base.endswith('/') or not relative else '/'}{relative}"


def list_pages(fs: Any, base: str, folder: str, visitor: Visitor, patience: Patience) -> Iterator[Listed]:
    """List S3 a thousand keys at a time; no more than one page is held.

    Args:
        fs: s3fs's filesystem.
        base: `bucket` or `bucket/prefix` of the store; empty where it spans buckets.
        folder: Below it.
        visitor: Asked of each folder once, before its files.
        patience: For each page.
    """
    bucket, _, prefix = join(base, folder).partition("/")
    prefix = f"{prefix}/" if prefix else ""
    entered: dict[str, bool] = {folder: True}
    first = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": PAGE}
    asked: dict[str, Any] = first
    while True:
        page = patience.ask(lambda asked=asked: fs.call_s3("list_objects_v2", **asked))  # type: ignore[misc]
        for entry in page.get("Contents", []):
            below = entry["Key"].removeprefix(prefix)
            if not below or below.endswith("/"):  # a marker that some tools make for a folder
                continue
            relative = f"{folder}/{below}" if folder else below
            if _enters(relative.rpartition("/")[0], entered, visitor):
                yield Listed(relative, mark=mark_of({"size": entry["Size"], **entry}))
        if not page.get("IsTruncated"):
            return
        asked = first | {"ContinuationToken": page["NextContinuationToken"]}


def _enters(folder: str, entered: dict[str, bool], visitor: Visitor) -> bool:
    """Ask for each folder on the way once, from the top."""
    known = entered.get(folder)
    if known is None:
        above = folder.rpartition("/")[0]
        known = entered[folder] = _enters(above, entered, visitor) and visitor.enters(folder)
    return known


def list_folders(fs: Any, base: str, folder: str, visitor: Visitor, patience: Patience) -> Iterator[Listed]:
    """List folder by folder; one that may not be listed is told to the visitor."""
    waiting = [folder]
    while waiting:
        below = waiting.pop()
        path = join(base, below)
        for entry in _entries(fs, path, below, visitor, patience):
            name = _own_name(entry["name"], path)
            if not name:
                continue
            relative = f"{below}/{name}" if below else name
            if entry["type"] == "directory":
                if visitor.enters(relative):
                    waiting.append(relative)
            elif entry["type"] in ("file", "link"):
                yield Listed(relative, mark=mark_of(entry))
            else:
                visitor.special(relative)


def _entries(fs: Any, path: str, below: str, visitor: Visitor, patience: Patience) -> list[dict[str, Any]]:
    """List the folder that is called `below` to the visitor, who is told where it may not be listed."""
    try:
        return patience.ask(lambda: _listed(fs, path))
    except OSError:
        visitor.unlisted(below)
        return []


def _listed(fs: Any, path: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = fs.ls(path, detail=True)
    fs.invalidate_cache()  # else a filesystem keeps every folder that it has listed
    return entries


def _own_name(name: str, folder: str) -> str:
    """Return the last part of a name; empty for the folder itself, which some list as its own entry."""
    return "" if name.strip("/") == folder.strip("/") else name.rstrip("/").rpartition("/")[2]


def list_links(fs: Any, base: str, folder: str, visitor: Visitor, patience: Patience) -> Iterator[Listed]:
    """List the pages of a web server: links to what lies below, without queries, are its files and folders."""
    waiting = [folder]
    while waiting:
        below = waiting.pop()
        address = f"{base}/{_quoted(below)}/" if below else f"{base}/"
        for entry in _entries(fs, address, below, visitor, patience):
            name = entry["name"].removeprefix(address)
            if name == entry["name"] or "?" in name or "#" in name or not name.strip("/") or "/" in name[:-1]:
                continue
            relative = f"{below}/{unquote(name.rstrip('/'))}" if below else unquote(name.rstrip("/"))
            if not name.endswith("/"):
                yield Listed(relative)
            elif visitor.enters(relative):
                waiting.append(relative)


def _quoted(relative: str) -> str:
    from urllib.parse import quote

    return quote(relative)
