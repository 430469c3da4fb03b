"""How the table names a file: relative to a root, absolute, or by a keyed hash; always one escaped cell."""

import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cxr.errors import UsageError
from cxr.screening.escape import escape
from cxr.screening.local import store_of
from cxr.screening.store import Root

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
