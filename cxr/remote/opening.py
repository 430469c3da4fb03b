"""From the addresses of a command line to the store of a run."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cxr.errors import UsageError
from cxr.formats import SUFFIXES
from cxr.remote.filesystem import filesystem_of, protocol_of
from cxr.remote.marks import mark_of
from cxr.remote.patience import Patience
from cxr.remote.store import FsspecStore
from cxr.remote.turns import Turns
from cxr.screening.address import cleaned, is_address
from cxr.screening.store import Listed

SERIAL = ("dvc", "tar", "libarchive", "ftp", "sftp", "ssh", "smb", "git")  # one connection, or one place in one file
WEB = ("http", "https")


@dataclass(frozen=True, slots=True)
class Given:
    """What an address names: its path, and what is known of it."""

    path: str
    is_folder: bool
    mark: str = ""
    request: str = ""  # what is asked for, where that is not the path


def open_store(addresses: Sequence[str], listed: Sequence[str] = (), seconds: float | None = None) -> FsspecStore:
    """Return the store of what addresses name; relative paths start from the folder that holds all of them.

    Args:
        addresses: Folders and files, of one filesystem.
        listed: Further ones from a list; one that is absent becomes a file that cannot be read.
        seconds: How long a request is tried again; None: two minutes.

    Raises:
        UsageError: An address is absent or of another filesystem than the first, or a package is not installed.
        DataError: Nothing answers there, or an archive cannot be opened.
    """
    every = [_whole(address) for address in (*addresses, *listed)]
    fs, _ = filesystem_of(every[0])
    patience = Patience(cleaned(every[0]), seconds)
    given = []
    for number, address in enumerate(every):
        other, path = filesystem_of(address)
        if other != fs or protocol_of(address) != protocol_of(every[0]):
            raise UsageError(
                f"{cleaned(address)} and {cleaned(every[0])} lie in different places; screen them in separate runs"
            )
        absent = number >= len(addresses)
        web = protocol_of(address) in WEB
        given.append(
            _given_on_the_web(fs, address, path, patience)
            if web
            else given_at(fs, path, cleaned(address), patience, may_be_absent=absent)
        )
    return store_at(fs, every[0], given, patience)


def store_at(fs: Any, address: str, given: Sequence[Given], patience: Patience) -> FsspecStore:
    """Return the store whose root is the deepest folder that holds all that was given."""
    protocol = protocol_of(address)
    folders = [one.path if one.is_folder else posixpath.dirname(one.path) for one in given]
    base = _common(folders, protocol)
    named, paths = [], {}
    for one in given:
        relative = one.path[len(base) :].lstrip("/") if base else one.path.lstrip("/")
        relative = unquote(relative) if protocol in WEB else relative
        named.append(Listed(relative, one.is_folder, one.mark))
        if one.request:
            paths[relative] = one.request
    shown = base.partition("://")[2] if protocol in WEB else base.lstrip("/")
    tail = "".join(f"::{cleaned(part)}" for part in address.split("::")[1:])
    root = cleaned(f"{protocol}://{shown}") + tail
    patience.address = root
    lock = Turns(1) if protocol in SERIAL or _has_serial(address) else None
    more: dict[str, Any] = {"one_at_a_time": lock} if lock else {}
    return FsspecStore(fs, protocol, base, root, patience, named, paths, **more)


def given_at(fs: Any, path: str, shown: str, patience: Patience, *, may_be_absent: bool) -> Given:
    """Look up what lies at a path; `shown` is what people call it.

    Raises:
        UsageError: It is absent, though it may not be, or must not be read.
    """
    plain = path.rstrip("/") or path
    try:
        info = patience.ask(lambda: fs.info(plain))
    except FileNotFoundError:
        if may_be_absent:
            return Given(plain, is_folder=False)
        raise UsageError(f"{shown} does not exist; expected a folder or a file") from None
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror}") from None
    is_folder = info["type"] == "directory"
    return Given(plain, is_folder, "" if is_folder else mark_of(info))


def _whole(address: str) -> str:
    """Name an archive in a local folder by its whole path, so that it is the same from every working directory."""
    parts = address.split("::")
    return "::".join([parts[0], *(part if is_address(part) else str(Path(part).absolute()) for part in parts[1:])])


def _given_on_the_web(fs: Any, address: str, path: str, patience: Patience) -> Given:
    """A web address that ends in a slash, or whose page is HTML and whose name is no image's, is a folder."""
    parts = urlsplit(path)
    plain = parts._replace(query="", fragment="").geturl()
    if plain.endswith("/") or not parts.path:
        return Given(plain.rstrip("/"), is_folder=True)
    try:
        info = patience.ask(lambda: fs.info(path))
    except FileNotFoundError:
        raise UsageError(f"{cleaned(address)} does not exist; expected a listing or a file") from None
    except OSError as error:
        raise UsageError(f"{cleaned(address)} cannot be read: {error.strerror}") from None
    page = str(info.get("mimetype", "")) == "text/html"
    if page and posixpath.splitext(parts.path)[1].lower() not in SUFFIXES:
        return Given(plain, is_folder=True)
    return Given(plain, is_folder=False, mark=mark_of(info), request=path if parts.query else "")


def _common(folders: Sequence[str], protocol: str) -> str:
    """Return the deepest folder that holds all; on the web, at least a server."""
    split = [folder.strip("/").split("/") if folder.strip("/") else [] for folder in folders]
    common = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    if protocol in WEB and len(common) < 3:
        raise UsageError("the inputs lie on different servers; screen them in separate runs")
    root = "/" if folders[0].startswith("/") and protocol not in WEB else ""
    return root + "/".join(common)


def _has_serial(address: str) -> bool:
    return any(protocol_of(part) in SERIAL for part in address.split("::"))
