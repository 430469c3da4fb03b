"""The filesystem of an address, by the package that the user has installed, with the user's own credentials."""

import logging
from collections.abc import Sequence
from typing import Any

from cxr.errors import DataError, UsageError
from cxr.screening.address import cleaned, is_address

# Which extra of this package brings what an address needs; None: fsspec alone, which every one of them brings.
EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "az"),
    **dict.fromkeys(("http", "https"), "http"),
    "dvc": "pipeline",
}
PLAIN = "remote"
CONNECT_SECONDS, READ_SECONDS = 10, 30
CONNECTIONS = 64  # more than threads, or they would wait for each other
# One request a file: s3fs would ask for the size of each before it reads it in pieces.
OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"max_concurrency": 1, "config_kwargs": {"max_pool_connections": CONNECTIONS}},
}
_TALKATIVE = ("asyncio", "fsspec", "s3fs", "botocore", "aiobotocore", "gcsfs", "adlfs", "azure", "dvc", "dvc_objects")


def protocol_of(address: str) -> str:
    """Return the scheme of an address, of an archive's: that of the outermost, such as `zip`."""
    return address.partition("://")[0].lower()


def class_of(protocol: str) -> type[Any]:
    """Return the class that reads addresses of a protocol.

    Raises:
        UsageError: No filesystem is called so, or its package is not installed; says what to install.
    """
    try:
        from fsspec import get_filesystem_class

        return get_filesystem_class(protocol)  # type: ignore[no-any-return]
    except ValueError:
        raise UsageError(
            f"{protocol}:// is no kind of address that fsspec knows; expected one such as s3://, gs://, az://, "
            "https:// or zip://, or a local path"
        ) from None
    except ImportError as error:
        raise UsageError(missing(protocol, error)) from None


def missing(protocol: str, error: ImportError) -> str:
    """Say what to install for addresses of a protocol."""
    extra = EXTRAS.get(protocol, PLAIN)
    if extra == PLAIN and error.name != "fsspec":
        name = (error.name or "").partition(".")[0]
        needed = f"the package that fsspec names for them: {error}" if not name else f"the package {name}"
        return f"addresses of {protocol}:// need {needed}; install it beside cxr-batch"
    return f"addresses of {protocol}:// need the extra '{extra}': pip install 'cxr-batch[{extra}]'"


def filesystem_of(address: str) -> tuple[Any, str]:
    """Return the filesystem of an address and its path there.

    Raises:
        UsageError: There is no such kind of address, a package is absent, or the address makes no sense.
        DataError: The archive at the address cannot be opened.
    """
    hush()
    protocols = [protocol_of(part) for part in address.split("::") if is_address(part)]
    for protocol in protocols:
        class_of(protocol)
    from fsspec.core import url_to_fs

    try:
        fs, path = url_to_fs(address, **_options(protocols))
    except ImportError as error:
        raise UsageError(missing(protocol_of(address), error)) from None
    except (FileNotFoundError, PermissionError) as error:
        raise DataError(f"{cleaned(address)} cannot be opened: {error.strerror or 'it is not there'}") from None
    except Exception as error:  # whatever a package raises; its words may hold the credentials
        raise DataError(
            f"{cleaned(address)} cannot be opened ({type(error).__name__}); expected an address that fsspec reads"
        ) from None
    return fs, path


def _options(protocols: Sequence[str]) -> dict[str, dict[str, Any]]:
    known = {name: OPTIONS[name] for name in protocols if name in OPTIONS}
    if not {"http", "https"}.isdisjoint(protocols):
        from aiohttp import ClientTimeout

        # aiohttp would wait five minutes for a server that has gone away without a word.
        waits = {"timeout": ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)}
        known |= {name: {"client_kwargs": waits} for name in protocols if name in ("http", "https")}
    return known


def hush() -> None:
    """Keep what the packages log, which may hold addresses as they were given, from the terminal."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
