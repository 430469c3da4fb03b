"""How a file is named: relative to a root, absolute, by a keyed hash or an address; always one escaped cell."""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cxr.core.errors import UsageError
from cxr.screening.storage import Root, store_of

# A spreadsheet runs a cell that starts with one of these; the last four are the full-width forms.
FORMULA_STARTS = "=+-@\uff1d\uff0b\uff0d\uff20"
# Control characters, lone surrogates (bytes that are not UTF-8), line and paragraph separators.
ESCAPED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_PLAIN = re.compile(r"[ !-*,./-<>?A-\[\]-~][ -\[\]-~]*")  # printable ASCII, no backslash, no formula: most names
_ESCAPE = re.compile(r"\\(?:(?P<backslash>\\)|(?P<newline>n)|x(?P<byte>[0-9a-f]{2}))")


def escape(text: str) -> str:
    r"""Write `text` as a cell that is one line of valid UTF-8, and that no spreadsheet executes.

    A backslash becomes `\\`, a newline `\n`; each byte of any other control character, of a line separator, of
    what is not UTF-8, and of a leading formula sign becomes `\xNN`. All other characters stay.
    """
    if _PLAIN.fullmatch(text):
        return text
    # Where the system's names are not taken for UTF-8, Python gives each byte of a letter as a surrogate.
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    escaped = "".join(_escape_character(character) for character in text)
    if text and text[0] in FORMULA_STARTS:
        return _escape_bytes(text[0]) + escaped[1:]
    return escaped


def unescape(cell: str) -> str:
    """Return the text that `escape` made `cell` from; bytes that are not UTF-8 become surrogate escapes."""
    raw, end = bytearray(), 0
    for match in _ESCAPE.finditer(cell):
        raw += cell[end : match.start()].encode()
        raw += bytes.fromhex(match["byte"]) if match["byte"] else b"\\" if match["backslash"] else b"\n"
        end = match.end()
    raw += cell[end:].encode()
    return raw.decode("utf-8", "surrogateescape")


def printable(text: str) -> str:
    """Return `text` fit for a terminal: control characters and what is not UTF-8 escaped, everything else as it is."""
    return "".join(character if character == "\\" else _escape_character(character) for character in text)


def _escape_character(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character == "\n":
        return "\\n"
    return _escape_bytes(character) if unicodedata.category(character) in ESCAPED_CATEGORIES else character


def _escape_bytes(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


MIN_KEY_BYTES = 16


class PathStyle(StrEnum):
    """What stands in the column `path`."""

    RELATIVE = "relative"
    ABSOLUTE = "absolute"
    HASHED = "hashed"


@dataclass(frozen=True, slots=True)
class Naming:
    """Names files below a root.

    Attributes:
        root: What relative paths start from: an absolute folder, or a store elsewhere.
        style: Which name is written.
        key: Secret of `hashed`; empty for the others.
    """

    root: Root
    style: PathStyle = PathStyle.RELATIVE
    key: bytes = b""

    def cell(self, relative: str) -> str:
        """Return the cell for a POSIX path relative to the root.

        Hashed names are the first 32 hexadecimal digits of HMAC-SHA256 (RFC 2104) over the relative path's bytes, so
        that one key gives one name on every machine, and nobody without it can try out names.
        """
        if self.style is PathStyle.RELATIVE:
            return escape(relative)
        if self.style is PathStyle.ABSOLUTE:
            return escape(store_of(self.root).absolute(relative))
        return hmac.new(self.key, relative.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:32]

    @property
    def key_check(self) -> str:
        """A digest that tells keys apart and does not give them away; empty without a key."""
        return hmac.new(self.key, b"cxr-batch key check", hashlib.sha256).hexdigest()[:16] if self.key else ""


def read_key(path: Path) -> bytes:
    """Read the secret of hashed names.

    Raises:
        UsageError: The file cannot be read or has less than 16 bytes.
    """
    try:
        key = path.read_bytes()
    except OSError as error:
        raise UsageError(f"the key file {path} cannot be read: {error.strerror}") from error
    if len(key) < MIN_KEY_BYTES:
        raise UsageError(
            f"the key file {path} has {len(key)} bytes; expected at least {MIN_KEY_BYTES} random ones, such as: "
            f"python -c \"import os; open('key', 'wb').write(os.urandom(32))\""
        )
    return key


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
