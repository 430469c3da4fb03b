"""Pictures at an address, listed and read through one of fsspec's filesystems by several threads."""

import posixpath
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypedDict
from urllib.parse import quote, unquote, urlsplit

from cxr.core.errors import CxrError, DataError, UsageError
from cxr.core.process import available_cores
from cxr.imaging.formats import HEAD_BYTES, SUFFIXES
from cxr.remote.filesystem import RetryPolicy, answer_of, filesystem_of, protocol_of
from cxr.screening.candidates import Candidate, Query, Search
from cxr.screening.paths import cleaned, is_address
from cxr.screening.storage import MAX_BYTES, FileVersion, Listed, Revisions

# By the filesystems that give them: S3 and HTTP; Azure; Google; DVC; Git; zip; HDFS and others.
CHECKSUMS = ("ETag", "etag", "content_md5", "md5Hash", "crc32c", "md5", "Content-MD5", "sha", "CRC", "checksum")
TIMES = ("LastModified", "last_modified", "Last-Modified", "updated", "modified", "mtime", "created")


def version_token(info: Mapping[str, Any]) -> str:
    """Return the mark of a file: `""` where nothing is known, `1234 ` where nothing but its size is."""
    size = info.get("size")
    info = {**info, **dict((info.get("fs_info") or {}).items())} if "repo" in info else info  # Git's, inside DVC's
    told = next((str(info[key]) for key in CHECKSUMS if info.get(key) not in (None, "")), "")
    told = told or next((_time(info[key]) for key in TIMES if info.get(key)), "")
    return f"{'' if size is None else int(size)} {told.strip().strip(chr(34))}"


def size_in_token(mark: str) -> int | None:
    """Return the size in bytes, None where unknown."""
    size = mark.partition(" ")[0]
    return int(size) if size else None


def file_version(mark: str) -> FileVersion:
    """Return the stamp of a mark; empty where only the size is known, which tells no file from another."""
    size, _, told = mark.partition(" ")
    return (int(size) if size else -1, told) if told else ()


def _time(value: object) -> str:
    if isinstance(value, float):  # seconds since 1970, where another call of the same filesystem gives a datetime
        value = datetime.fromtimestamp(value, UTC)
    return value.isoformat() if isinstance(value, datetime) else str(value)


PAGE = 1000  # keys; S3 gives no more


class Entry(TypedDict):
    """What every filesystem of fsspec says of a file or a folder in a listing; most say more."""

    name: str
    type: str
    size: int | None


def join(base: str, relative: str) -> str:
    """Return the path of what lies below a folder; the root of a filesystem may be `/` or nothing."""
    return f"{base}{'' if not base or base.endswith('/') or not relative else '/'}{relative}"


def list_pages(fs: Any, base: str, folder: str, search: Search, retry: RetryPolicy) -> Iterator[Listed]:
    """List S3 a thousand keys at a time; no more than one page is held.

    Args:
        fs: s3fs's filesystem.
        base: `bucket` or `bucket/prefix` of the store; empty where it spans buckets.
        folder: Below it.
        search: Asked of each folder once, before its files.
        retry: For each page.
    """
    bucket, _, prefix = join(base, folder).partition("/")
    prefix = f"{prefix}/" if prefix else ""
    entered: dict[str, bool] = {folder: True}
    first: dict[str, object] = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": PAGE}
    asked = first
    while True:
        page = retry.call(lambda asked=asked: fs.call_s3("list_objects_v2", **asked))  # type: ignore[misc]
        for entry in page.get("Contents", []):
            below = entry["Key"].removeprefix(prefix)
            if not below or below.endswith("/"):  # a marker that some tools make for a folder
                continue
            relative = f"{folder}/{below}" if folder else below
            if _enters(relative.rpartition("/")[0], entered, search):
                yield Listed(relative, mark=version_token({"size": entry["Size"], **entry}))
        if not page.get("IsTruncated"):
            return
        asked = first | {"ContinuationToken": page["NextContinuationToken"]}


def _enters(folder: str, entered: dict[str, bool], search: Search) -> bool:
    """Ask for each folder on the way once, from the top."""
    known = entered.get(folder)
    if known is None:
        above = folder.rpartition("/")[0]
        known = entered[folder] = _enters(above, entered, search) and search.enters(folder)
    return known


def list_folders(fs: Any, base: str, folder: str, search: Search, retry: RetryPolicy) -> Iterator[Listed]:
    """List folder by folder; one that may not be listed is told to `search`."""
    waiting = [folder]
    while waiting:
        below = waiting.pop()
        path = join(base, below)
        for entry in _entries(fs, path, below, search, retry):
            name = _own_name(entry["name"], path)
            if not name:
                continue
            relative = f"{below}/{name}" if below else name
            if entry["type"] == "directory":
                if search.enters(relative):
                    waiting.append(relative)
            elif entry["type"] in ("file", "link"):
                yield Listed(relative, mark=version_token(entry))
            else:
                search.special(relative)


def _entries(fs: Any, path: str, below: str, search: Search, retry: RetryPolicy) -> list[Entry]:
    """List the folder that `search` calls `below`, and tell it where that may not be listed."""
    try:
        return retry.call(lambda: _listed(fs, path))
    except OSError:
        search.unlisted(below)
        return []


def _listed(fs: Any, path: str) -> list[Entry]:
    entries: list[Entry] = fs.ls(path, detail=True)
    fs.invalidate_cache()  # else a filesystem keeps every folder that it has listed
    return entries


def _own_name(name: str, folder: str) -> str:
    """Return the last part of a name; empty for the folder itself, which some list as its own entry."""
    return "" if name.strip("/") == folder.strip("/") else name.rstrip("/").rpartition("/")[2]


def list_links(fs: Any, base: str, folder: str, search: Search, retry: RetryPolicy) -> Iterator[Listed]:
    """List the pages of a web server: links to what lies below, without queries, are its files and folders."""
    waiting = [folder]
    while waiting:
        below = waiting.pop()
        address = f"{base}/{_quoted(below)}/" if below else f"{base}/"
        for entry in _entries(fs, address, below, search, retry):
            name = entry["name"].removeprefix(address)
            if name == entry["name"] or "?" in name or "#" in name or not name.strip("/") or "/" in name[:-1]:
                continue
            relative = f"{below}/{unquote(name.rstrip('/'))}" if below else unquote(name.rstrip("/"))
            if not name.endswith("/"):
                yield Listed(relative)
            elif search.enters(relative):
                waiting.append(relative)


def _quoted(relative: str) -> str:
    from urllib.parse import quote

    return quote(relative)


class PicklableSemaphore:
    """A semaphore that can be sent to another process, where it starts anew."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._turns = threading.Semaphore(number)

    def __reduce__(self) -> tuple[type["PicklableSemaphore"], tuple[int]]:
        return PicklableSemaphore, (self._number,)

    def __enter__(self) -> None:
        self._turns.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turns.release()


WORKERS_PER_CORE, MOST_WORKERS = 8, 32  # they wait most of the time


@dataclass(frozen=True, slots=True)
class _Source:
    stamp: FileVersion
    size: int
    head: bytes
    data: bytes | None
    fetch: Callable[[], bytes]

    def whole(self) -> bytes:
        """See `Source`."""
        return self.fetch() if self.data is None else self.data


@dataclass(frozen=True, slots=True)
class FsspecStore:
    """A `Store` of a filesystem of fsspec. It can be sent to other processes, which open connections of their own.

    Attributes:
        fs: The filesystem.
        protocol: How it is called in addresses.
        base: Its path of what relative paths start from; without a slash at the end.
        address: The same for people: without credentials.
        named: What was given, relative; those with a `path` of their own, such as a presigned link, are in `paths`.
        paths: Paths of the filesystem by relative path.
        retry: How requests are tried again.
        one_at_a_time: Held while a file is opened, and read where the filesystem cannot be read by two threads.
        known: See `Store.revisions`.
    """

    fs: Any
    protocol: str
    base: str
    address: str
    retry: RetryPolicy
    named: Sequence[Listed] = ()
    paths: Mapping[str, str] = field(default_factory=dict)
    one_at_a_time: AbstractContextManager[object] = field(default_factory=nullcontext)
    decoding: AbstractContextManager[object] = field(default_factory=lambda: PicklableSemaphore(available_cores()))
    known: Revisions = field(default_factory=Revisions)

    def __str__(self) -> str:
        return self.address

    @property
    def workers(self) -> int:
        """See `Store`."""
        return min(WORKERS_PER_CORE * available_cores(), MOST_WORKERS)

    @contextmanager
    def opened(self, candidate: Candidate, *, whole: bool) -> Iterator[_Source]:
        """See `Store`; a file that will be wanted whole costs one request."""
        path = self.path_of(candidate.relative)
        mark = candidate.mark if candidate.mark.strip() else self._mark(path)
        size = size_in_token(mark)
        wanted = whole and (size or 0) <= MAX_BYTES
        data = b"" if size == 0 else self._data(path, None if wanted else HEAD_BYTES)
        if wanted and size not in (None, len(data)):  # another file than was listed, or half of it
            mark = self._mark(path)
            data = self._data(path, None)
        yield _Source(
            file_version(mark),
            len(data) if size is None and wanted else size or 0,
            data[:HEAD_BYTES],
            data if wanted or size == 0 else None,
            lambda: self._data(path, None),
        )

    def stamp(self, candidate: Candidate) -> FileVersion:
        """See `Store`: size, and checksum or time."""
        try:
            return file_version(candidate.mark) or file_version(self._mark(self.path_of(candidate.relative)))
        except OSError:
            return ()

    def starts(self, query: Query) -> list[Listed]:  # noqa: ARG002
        """See `Store`."""
        return list(self.named) or [Listed("", is_folder=True)]

    def walk(self, folder: str, search: Search) -> Iterator[Listed]:
        """See `Store`."""
        ways = {"s3": list_pages, "s3a": list_pages, "http": list_links, "https": list_links}
        way = ways.get(self.protocol, list_folders) if self.base or folder else list_folders
        return way(self.fs, self.base, folder, search, self.retry)

    def is_own(self, relative: str, own: frozenset[str]) -> bool:
        """See `Store`."""
        return self.absolute(relative) in own

    def is_special(self, relative: str) -> bool:  # noqa: ARG002
        """See `Store`; listings tell."""
        return False

    def absolute(self, relative: str) -> str:
        """See `Store`: the address of the file."""
        head, mark, tail = self.address.partition("::")
        return f"{head}{'' if head.endswith('/') else '/'}{relative}{mark}{tail}"

    def revisions(self) -> Revisions:
        """See `Store`."""
        return self.known

    def stop(self) -> None:
        """See `Store`."""
        self.retry.stop()

    def path_of(self, relative: str) -> str:
        """Return the filesystem's path of a relative one."""
        if relative in self.paths:
            return self.paths[relative]
        if relative.startswith(f"{self.protocol}://"):  # a whole name, of a table with absolute paths
            head, mark, tail = self.absolute("").partition("::")
            relative = relative.removeprefix(head).removesuffix(f"{mark}{tail}")
        if self.protocol in ("http", "https"):
            relative = quote(relative)
        return join(self.base, relative)

    def _mark(self, path: str) -> str:
        with self.one_at_a_time:
            return self.retry.call(lambda: version_token(self.fs.info(path)))

    def _data(self, path: str, end: int | None) -> bytes:
        """Return the first `end` bytes of a file, or all."""
        if self.protocol == "dvc":  # its index is not for several threads, the files that it opens are
            with self.one_at_a_time:
                file = self.retry.call(lambda: self.fs.open(path, "rb"))
            with file:
                return self.retry.call(lambda: file.read(MAX_BYTES + 1 if end is None else end))  # type: ignore[no-any-return]
        with self.one_at_a_time:
            more = {} if end is None else {"start": 0, "end": end}
            data: bytes = self.retry.call(lambda: self.fs.cat_file(path, **more))
        return data[:end]


SERIAL = ("dvc", "tar", "libarchive", "ftp", "sftp", "ssh", "smb", "git")  # one connection, or one place in one file
WEB = ("http", "https")


@dataclass(frozen=True, slots=True)
class Given:
    """What an address names: its path, and what is known of it."""

    path: str
    is_folder: bool
    mark: str = ""
    request: str = ""  # what is asked for, where that is not the path
    refused: OSError | None = None  # why nothing is known of a file of a list


def open_store(addresses: Sequence[str], listed: Sequence[str] = (), seconds: float | None = None) -> FsspecStore:
    """Return the store of what addresses name; relative paths start from the folder that holds all of them.

    Args:
        addresses: Folders and files, of one filesystem.
        listed: Further ones from a list; one that is absent or refused becomes a file that cannot be read.
        seconds: How long a request is tried again; None: two minutes.

    Raises:
        UsageError: An address is absent or of another filesystem than the first, or a package is not installed.
        DataError: Nothing answers there, an address or the whole list is refused, or an archive cannot be opened.
    """
    every = [_whole(address) for address in (*addresses, *listed)]
    fs, _ = filesystem_of(every[0])
    retry = RetryPolicy(cleaned(every[0]), seconds)
    given = []
    for number, address in enumerate(every):
        other, path = filesystem_of(address)
        if other != fs or protocol_of(address) != protocol_of(every[0]):
            raise UsageError(
                f"{cleaned(address)} and {cleaned(every[0])} lie in different places; screen them in separate runs"
            )
        retry.address = cleaned(address)  # which of them does not answer
        look_up = _given_on_the_web if protocol_of(address) in WEB else given_at
        given.append(look_up(fs, path, cleaned(address), retry, of_list=number >= len(addresses)))
    refused = [one.refused for one in given if one.refused]
    if len(refused) == len(given):  # as without credentials: no row could say more
        raise _cannot_be_read(cleaned(every[0]), refused[0])
    return store_at(fs, every[0], given, retry)


def _cannot_be_read(shown: str, error: OSError) -> DataError:
    return DataError(f"{shown} cannot be read: {answer_of(error)}")


def store_at(fs: Any, address: str, given: Sequence[Given], retry: RetryPolicy) -> FsspecStore:
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
    retry.address = root
    lock = PicklableSemaphore(1) if any(protocol_of(part) in SERIAL for part in address.split("::")) else nullcontext()
    return FsspecStore(fs, protocol, base, root, retry, named, paths, lock)


def given_at(fs: Any, path: str, shown: str, retry: RetryPolicy, *, of_list: bool) -> Given:
    """Look up what lies at a path.

    Args:
        fs: The filesystem.
        path: Of it.
        shown: What people call it.
        retry: How the request is tried again.
        of_list: Whether a list names it: then it is a file among many, which costs no more than its row.

    Raises:
        UsageError: It is absent, and of no list.
        DataError: It cannot be read, and is of no list; or nothing answers.
    """
    plain = path.rstrip("/") or path
    try:
        info = retry.call(lambda: fs.info(plain))
    except OSError as error:
        if of_list:
            return _unknown(Given(plain, is_folder=False), error)
        raise _not_given(shown, error, "a folder or a file") from None
    is_folder = info["type"] == "directory"
    return Given(plain, is_folder, "" if is_folder else version_token(info))


def _whole(address: str) -> str:
    """Name an archive in a local folder by its whole path, so that it is the same from every working directory."""
    parts = address.split("::")
    return "::".join([parts[0], *(part if is_address(part) else str(Path(part).absolute()) for part in parts[1:])])


def _unknown(given: Given, error: OSError) -> Given:
    return replace(given, refused=None if isinstance(error, FileNotFoundError) else error)


def _not_given(shown: str, error: OSError, expected: str) -> CxrError:
    """Return what is said of an address that was asked for by itself."""
    if isinstance(error, FileNotFoundError):
        return UsageError(f"{shown} does not exist; expected {expected}")
    return _cannot_be_read(shown, error)


def _given_on_the_web(fs: Any, path: str, shown: str, retry: RetryPolicy, *, of_list: bool) -> Given:
    """As `given_at`: what ends in a slash, or whose page is HTML and whose name is no image's, is a folder."""
    parts = urlsplit(path)
    plain = parts._replace(query="", fragment="").geturl()
    if plain.endswith("/") or not parts.path:
        return Given(plain.rstrip("/"), is_folder=True)
    file = Given(plain, is_folder=False, request=path if parts.query else "")
    try:
        info = retry.call(lambda: fs.info(path))
    except OSError as error:
        if of_list:
            return _unknown(file, error)
        raise _not_given(shown, error, "a listing or a file") from None
    page = str(info.get("mimetype", "")) == "text/html"
    if page and posixpath.splitext(parts.path)[1].lower() not in SUFFIXES:
        return Given(plain, is_folder=True)
    return replace(file, mark=version_token(info))


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
