"""Addresses that fsspec reads, such as `s3://bucket/folder`: told from paths, and shown without what is secret."""

import re
from collections.abc import Sequence
from pathlib import Path

# Of these the part before `@` is the name of a container.
_CONTAINERS = ("az", "abfs", "abfss", "adl", "wasb", "wasbs")
_URL = re.compile(r"(?P<before>.*?)(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_USER = re.compile(r"(?P<user>[^/?#]*)@")


def is_address(text: str) -> bool:
    """Tell an address from a local path: `scheme://`, or several of them joined by `::`."""
    return "://" in text


def split_places(names: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Tell local paths, `file://` among them, from addresses."""
    paths, addresses = [], []
    for name in names:
        if name.lower().startswith("file://"):
            from urllib.parse import urlsplit
            from urllib.request import url2pathname  # here, for it loads all of HTTP

            paths.append(Path(url2pathname(urlsplit(name).path)))
        elif is_address(name):
            addresses.append(name)
        else:
            paths.append(Path(name))
    return paths, addresses


def cleaned(text: str) -> str:
    """Return a path, an address or a command-line argument without user info, query strings and fragments of addresses.

    Those hold passwords, access tokens, signatures of presigned links and SAS tokens. A key that has a `?` in its name
    is cut there too.
    """
    kept: list[str] = []
    secret = False
    for part in text.split("::"):
        if is_address(part):
            clean, secret = _clean(part)
            kept.append(clean)
        elif not secret:  # else the rest of a query string
            kept.append(part)
    return "::".join(kept)


def _clean(part: str) -> tuple[str, bool]:
    found = _URL.fullmatch(part)
    if found is None:
        return part, False
    scheme, rest = found["scheme"], found["rest"]
    user = _USER.match(rest)
    if user and (":" in user["user"] or scheme.lower() not in _CONTAINERS):
        rest = rest[user.end() :]
    shown, *cut = re.split("[?#]", rest, maxsplit=1)
    return f"{found['before']}{scheme}://{shown}", bool(cut)
