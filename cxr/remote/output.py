"""A table at an address: made in a local folder, with its journal, and sent whole when it is."""

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

from cxr.errors import OutputError, UsageError
from cxr.remote.filesystem import filesystem_of, protocol_of
from cxr.remote.patience import Patience
from cxr.screening.address import cleaned
from cxr.screening.output import OutputFiles

# Where a name shows either the whole new file or the older one, whatever happens while it is sent.
ATOMIC = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")
READ_ONLY = ("http", "https", "zip", "tar", "dvc", "git", "github", "libarchive")


def cache_folder() -> Path:
    """Return the folder below the user's cache folder where this package keeps what may be deleted."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "cxr-batch"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "cxr-batch"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cxr-batch"


def scratch_results(address: str, scratch: Path | None) -> Path:
    """Return where the table for an address is made: by default in a folder that the address alone names.

    Raises:
        UsageError: The address names no file, or nothing can be written there.
        OutputError: The folder cannot be made.
    """
    shown = cleaned(address)
    name = shown.partition("::")[0].rpartition("/")[2]
    if not name:
        raise UsageError(f"-o {shown} names no file; give a name, as in: -o {shown}results.csv")
    if protocol_of(address) in READ_ONLY or "::" in address:
        raise UsageError(f"-o {shown}: nothing can be written to addresses of this kind; give a file or a bucket")
    digest = hashlib.sha256(shown.encode()).hexdigest()[:16]
    folder = scratch or cache_folder() / "output" / digest
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}; give another with --scratch") from error
    return folder / name


def own_addresses(address: str, files: OutputFiles) -> frozenset[str]:
    """Return the addresses that the run writes."""
    folder = cleaned(address).rpartition("/")[0]
    return frozenset(f"{folder}/{path.name}" for path in (files.results, files.manifest))


class Upload:
    """Where a finished table goes."""

    def __init__(self, address: str, files: OutputFiles, seconds: float | None = None) -> None:
        """Open the place. Raises UsageError or DataError where that cannot be."""
        self.address, self.files = cleaned(address), files
        self._fs, self._path = filesystem_of(address)
        self._patience = Patience(self.address, seconds)
        self._atomic = protocol_of(address) in ATOMIC

    def check(self, *, overwrite: bool) -> None:
        """Refuse to replace a table that this machine does not go on with.

        Raises:
            OutputError: There is one, or the place cannot be read.
        """
        if overwrite or self.files.journal.exists() or self.files.parts.exists():
            return
        try:
            there = self._patience.ask(lambda: self._fs.exists(self._path))
        except OSError as error:
            raise OutputError(f"{self.address} cannot be reached: {error.strerror}") from error
        if there:
            raise OutputError(
                f"{self.address} exists, but {self.files.results.parent} has no journal that tells how it was made: "
                "give another output, name the folder of its journal with --scratch, or replace it with --overwrite"
            )

    def send(self) -> None:
        """Send the table, then its manifest.

        Raises:
            OutputError: It cannot be sent; it is whole in the local folder.
        """
        folder = self._path.rpartition("/")[0]
        try:
            for local, path in (
                (self.files.results, self._path),
                (self.files.manifest, f"{folder}/{self.files.manifest.name}"),
            ):
                self._patience.ask(lambda local=local, path=path: self._put(local, path))  # type: ignore[misc]
        except OSError as error:
            raise OutputError(
                f"cannot write {self.address}: {error.strerror}; the table is whole in {self.files.results.parent}: "
                "run the same command again to send it"
            ) from error

    def _put(self, local: Path, path: str) -> None:
        fs: Any = self._fs
        if self._atomic:
            fs.put_file(str(local), path)
            return
        parent = path.rpartition("/")[0]
        if parent:
            fs.makedirs(parent, exist_ok=True)
        fs.put_file(str(local), f"{path}.part")
        if fs.exists(path):  # not every filesystem moves onto an older file
            fs.rm_file(path)
        fs.mv(f"{path}.part", path)
